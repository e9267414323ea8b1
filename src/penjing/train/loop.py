"""The training loop, to be read in one sitting.

    for each step: pack its sequences → forward → loss over the step's targets → backward → clip → AdamW or Muon

Promises: no padding is computed outside attention; the loss of a step is the mean over its
targets however it is split into passes; a run killed at any point and started again ends with
the same weights, bit for bit, on the same machine; a loss that is not a number never reaches the
weights, and weights spoilt by anything else are put back; a disk that refuses a state costs that state only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from penjing.core.errors import DivergenceError, ResourceError
from penjing.core.machine import usable_cores
from penjing.core.progress import SILENT, Progress
from penjing.models.decoder import PackedModel
from penjing.train.average import Average
from penjing.train.dropout import set_dropout
from penjing.train.place import on_this_machine
from penjing.train.profile import UNTIMED, Clock
from penjing.train.ranks import ALONE, Ranks
from penjing.train.recipe import TrainingRecipe
from penjing.train.refusing import refuse_impossible
from penjing.train.sharding import spread
from penjing.train.state import RunState, StateDirectory
from penjing.train.step import OnLook, OnStep, Stepper, spoilt, unheard
from penjing.train.training_set import Objective, PassObjective, TrainingSet
from penjing.train.watch import Watch

_RECORD_EVERY = 10


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run did.

    Attributes:
        history: records of step, tokens (of the step), seen (so far), loss, rate, gradient norm, tokens_per_s.
        steps, tokens: in all, earlier parts of a resumed run included.
        kept_step: steps behind the weights that were kept.
        seconds: of this process only.
        precision: what ``auto`` became.
        resumed_at: step at which this process took over, 0 for a fresh run.
        left_out: steps that gave no number and so changed nothing.
        pass_tokens: tokens a forward pass at the end; fewer than the recipe's where those did not fit the memory.
    """

    history: list[dict[str, float]]
    steps: int
    tokens: int
    kept_step: int
    seconds: float
    precision: str
    resumed_at: int
    left_out: tuple[int, ...]
    pass_tokens: int

    def remarks(self, recipe: TrainingRecipe) -> list[str]:
        """What the run met on its way, for the version's notes."""
        told = []
        if self.left_out:
            told.append(f"steps that gave no number were left out of training: {', '.join(map(str, self.left_out))}")
        if self.pass_tokens < recipe.pass_tokens:
            told.append(f"training ran short of memory: passes were cut to {self.pass_tokens} tokens")
        return told


def train(
    encoder: PackedModel,
    data: TrainingSet,
    objective: Objective | PassObjective,
    *,
    recipe: TrainingRecipe,
    seed: int,
    validation: TrainingSet | None = None,
    states: StateDirectory | None = None,
    on_look: OnLook | None = None,
    on_step: OnStep = unheard,
    clock: Clock = UNTIMED,
    ranks: Ranks = ALONE,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train ``encoder`` in place.

    Args:
        encoder: freshly loaded; left in evaluation mode.
        data: the training split.
        objective: sum of losses over real targets, of outputs alone or of a whole pass (distillation).
        recipe: settings.
        seed: of order and dropout.
        validation: looked at as the recipe says; needed if it says so.
        states: where resumable states live while the run lasts; None keeps none.
        clock: told of the parts of each step.
        ranks: this process's place among those that train; see :func:`penjing.train.ranks.joined`.
        on_look: told of each look at the validation split; says whether the run should end there.
        on_step: told of each step and its record.
        progress: where to show it.

    Raises:
        DataError: nothing to train on.
        DivergenceError: the loss is infinite or not a number, and leaving steps out or going back did not help.
        ResourceError: not even a small pass fits the memory.
        UsageError: more frozen layers than there are, or states of another run.
    """
    refuse_impossible(encoder, data, recipe, validation=validation, ranks=ranks)
    torch.set_num_threads(recipe.threads or max(1, usable_cores() // on_this_machine()))
    with spread(encoder, recipe, ranks) as held:
        set_dropout(held, recipe.dropout)
        held.freeze(recipe.frozen_layers)
        run = Stepper(held, data, objective, recipe=recipe, seed=seed)
        run.on_look, run.on_step, run.clock, run.ranks = on_look, on_step, clock, ranks
        with clock.part("frozen layers"):
            run.compute_frozen(progress)
        begun = _begun(run, states, progress)
        started = time.monotonic()
        ended = _run_steps(run, begun, validation, states, progress)
    encoder.model.eval()
    return _result(run, ended, seconds=time.monotonic() - started, resumed_at=begun.step)


def _begun(run: Stepper, states: StateDirectory | None, progress: Progress) -> RunState:
    """Where the run stands: at its last state, which is loaded, or at the beginning."""
    found = states.restore(run.encoder.model, run.optimiser, progress) if states else None
    if found:
        progress.say(f"Resuming at step {found.step} of {run.plan.steps}.")
    return found or RunState(0, [])


def _result(run: Stepper, ended: RunState, *, seconds: float, resumed_at: int) -> TrainingResult:
    keeps_best = ended.best is not None and run.recipe.keep == "best"
    return TrainingResult(
        history=ended.history,
        steps=ended.step,
        tokens=run.tokens_until(ended.step),
        kept_step=ended.best.step if ended.best and keeps_best else ended.step,
        seconds=seconds,
        precision=run.precision,
        resumed_at=resumed_at,
        left_out=ended.left_out,
        pass_tokens=run.pass_tokens,
    )


def _run_steps(
    run: Stepper, begun: RunState, validation: TrainingSet | None, states: StateDirectory | None, progress: Progress
) -> RunState:
    """Train to the end; once something spoilt the weights themselves, go back to the last state."""
    model, gone_back_to = run.encoder.model, set[int]()
    while True:
        try:
            return _Course(run, begun, states, progress).follow(validation)
        except DivergenceError as error:
            back = states.restore(model, run.optimiser, progress) if states and spoilt(model) else None
            if back is None or back.step in gone_back_to or spoilt(model):
                raise
            progress.say(f"Going back to step {back.step}: {error.came}.")
            gone_back_to.add(back.step)
            begun = back


class _Course:
    """Steps from where a run stands to where it ends."""

    def __init__(self, run: Stepper, begun: RunState, states: StateDirectory | None, progress: Progress) -> None:
        recipe, model = run.recipe, run.encoder.model
        self._run, self._states, self._progress = run, states, progress
        self._step, self._history = begun.step, list(begun.history)
        self._saved_at = time.monotonic()
        run.zeros.look()
        run.left_out, run.pass_tokens = list(begun.left_out), begun.pass_tokens or recipe.pass_tokens
        self._watch = Watch(
            recipe,
            steps=run.plan.steps,
            steps_per_epoch=run.plan.steps_per_epoch,
            best=begun.best,
            looks_since=begun.looks_since,
        )
        averages = recipe.keep == "average"
        self._average = Average(model, decay=recipe.average_decay, weights=begun.average) if averages else None

    def follow(self, validation: TrainingSet | None) -> RunState:
        """Go to the end; the weights are then those to keep."""
        run, model = self._run, self._run.encoder.model
        model.train()
        seen = run.tokens_until(self._step)
        with self._progress.stage("Training", total=run.tokens_until(run.plan.steps) - seen) as stage:
            clock = _Speed()
            for step in range(self._step, run.plan.steps):
                record = run.step(step, self._progress)
                seen += int(record["tokens"])
                record |= {"tokens_per_s": clock.after(record["tokens"]), "seen": seen}
                stage.advance(**_shown(record))
                self._step = step + 1
                if self._average:
                    self._average.take(model, done=self._step)
                enough = self._look(record, validation)
                run.on_step(self._step, record)
                if "loss" in record and (step % _RECORD_EVERY == 0 or self._is_last or "validation_loss" in record):
                    self._history.append(record)
                if enough:
                    break
                self._save()
        self._watch.restore_best(model)
        if self._average:
            self._average.put_into(model)
            run.zeros.hold()  # an average of weights from before they were cut is none
        return self._state()

    @property
    def _is_last(self) -> bool:
        return self._step == self._run.plan.steps

    def _look(self, record: dict[str, float], validation: TrainingSet | None) -> bool:
        """Look at the validation split where it is time to; whether that was enough."""
        if not validation or not self._run.recipe.validate_every or not self._watch.is_due(self._step):
            return False
        with self._run.clock.part("validate"):
            record["validation_loss"] = self._run.mean_loss(validation)
        enough = self._watch.take(record["validation_loss"], self._run.encoder.model, done=self._step)
        if enough:
            best = self._watch.best_step
            self._progress.say(f"Stopped at step {self._step}: no lower validation loss since step {best}.")
        share = self._step / self._run.plan.steps
        return enough or bool(self._run.on_look and self._run.on_look(share, record["validation_loss"]))

    def _state(self) -> RunState:
        return RunState(
            self._step,
            self._history,
            self._watch.best,
            self._watch.looks_since,
            left_out=tuple(self._run.left_out),
            pass_tokens=self._run.pass_tokens,
            average=self._average.weights if self._average else {},
        )

    def _save(self) -> None:
        """Save where it is time to. A state is a convenience: a disk that refuses it does not stop the run."""
        every_s, run = self._run.recipe.save_every_s, self._run
        if self._states is None or every_s is None or not (run.ranks.is_first or run.is_spread):
            return
        is_due = time.monotonic() - self._saved_at >= every_s
        if not (run.ranks.first_says(is_due) if run.is_spread else is_due):
            return
        if not spoilt(run.encoder.model):
            try:
                with run.clock.part("save states"):
                    self._states.save(self._state(), run.encoder.model, run.optimiser, writes=run.ranks.is_first)
            except ResourceError as error:
                self._progress.say(f"No state was saved at step {self._step}: {error.came}. Training goes on.")
        self._saved_at = time.monotonic()


def _shown(record: dict[str, float]) -> dict[str, float]:
    """What the progress bar shows of a step."""
    shown = {"amount": record["tokens"], "loss": record.get("loss"), "tokens_per_s": record["tokens_per_s"]}
    return {name: figure for name, figure in shown.items() if figure is not None}


class _Speed:
    """Real tokens a second over the recent past."""

    def __init__(self) -> None:
        self._rate, self._last = 0.0, time.monotonic()

    def after(self, tokens: float) -> float:
        now = time.monotonic()
        rate = tokens / max(now - self._last, 1e-9)
        self._rate = rate if self._rate == 0 else 0.9 * self._rate + 0.1 * rate
        self._last = now
        return self._rate
