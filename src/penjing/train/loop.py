"""The training loop, to be read in one sitting.

    for each step: pack its sequences → forward → loss over the step's targets → backward → clip → AdamW

Promises: no padding is computed outside attention; the loss of a step is the mean over its
targets however it is split into passes; a run killed at any point and started again ends with
the same weights, bit for bit, on the same machine; a loss that is not a number stops the run
with an explanation instead of spoiling the weights; a disk that refuses a state costs that state only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.core.errors import DataError, DivergenceError, ResourceError, UsageError
from penjing.core.machine import usable_cores
from penjing.core.progress import SILENT, Progress
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import pack_flat
from penjing.train.frozen import FrozenFeatures, autocast
from penjing.train.optimiser import build_optimiser, rate_factor
from penjing.train.plan import StepPlan
from penjing.train.recipe import TrainingRecipe, resolve_precision
from penjing.train.state import RunState, StateDirectory
from penjing.train.training_set import TrainingSet
from penjing.train.watch import Watch

# (outputs (cells read, outputs), targets of the same sequences, their lengths (sequences,)) → the *sum* of the
# losses over real targets, scalar.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
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
    """

    history: list[dict[str, float]]
    steps: int
    tokens: int
    kept_step: int
    seconds: float
    precision: str
    resumed_at: int


def train(
    encoder: PackedEncoder,
    data: TrainingSet,
    objective: Objective,
    *,
    recipe: TrainingRecipe,
    seed: int,
    validation: TrainingSet | None = None,
    states: StateDirectory | None = None,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train ``encoder`` in place.

    Args:
        encoder: freshly loaded; left in evaluation mode.
        data: the training split.
        objective: sum of losses over real targets.
        recipe: settings.
        seed: of order and dropout.
        validation: looked at as the recipe says; needed if it says so.
        states: where resumable states live while the run lasts; None keeps none.
        progress: where to show it.

    Raises:
        DataError: nothing to train on.
        DivergenceError: the loss became infinite or not a number.
        UsageError: more frozen layers than there are, or states of another run.
    """
    _refuse_impossible(encoder, data, recipe, validation)
    torch.set_num_threads(recipe.threads or usable_cores())
    _set_dropout(encoder, recipe.dropout)
    encoder.freeze(recipe.frozen_layers)
    run = _Run(encoder, data, objective, recipe, seed)
    run.compute_frozen(progress)
    begun = states.restore(encoder.model, run.optimiser, progress) if states else None
    if begun:
        progress.say(f"Resuming at step {begun.step} of {run.plan.steps}.")
    started = time.monotonic()
    ended = _run_steps(run, begun or RunState(0, []), validation, states, progress)
    encoder.model.eval()
    seconds = time.monotonic() - started
    return run.result(ended, seconds=seconds, resumed_at=begun.step if begun else 0)


def _run_steps(
    run: _Run, begun: RunState, validation: TrainingSet | None, states: StateDirectory | None, progress: Progress
) -> RunState:
    """Train from where the run stands to where it ends; the end."""
    history, saved_at, every_s = list(begun.history), time.monotonic(), run.recipe.save_every_s
    watch = run.watch(begun)
    state = begun
    run.encoder.model.train()
    with progress.stage("Fine-tuning", total=run.tokens_until(run.plan.steps)) as stage:
        clock, seen = _Speed(), run.tokens_until(begun.step)
        stage.advance(seen)
        for step in range(begun.step, run.plan.steps):
            record = run.step(step)
            seen += int(record["tokens"])
            record |= {"tokens_per_s": clock.after(record["tokens"]), "seen": seen}
            stage.advance(record["tokens"], loss=record["loss"], tokens_per_s=record["tokens_per_s"])
            enough = False
            if validation and run.recipe.validate_every and watch.is_due(step + 1):
                record["validation_loss"] = run.mean_loss(validation)
                enough = watch.take(record["validation_loss"], run.encoder.model, done=step + 1)
            if step % _RECORD_EVERY == 0 or step == run.plan.steps - 1 or "validation_loss" in record:
                history.append(record)
            state = RunState(step + 1, history, watch.best, watch.looks_since)
            if enough:
                progress.say(f"Stopped at step {step + 1}: no lower validation loss since step {watch.best_step}.")
                break
            if states and every_s is not None and time.monotonic() - saved_at >= every_s:
                _save(states, state, run, progress)
                saved_at = time.monotonic()
    watch.restore_best(run.encoder.model)
    return state


def _save(states: StateDirectory, state: RunState, run: _Run, progress: Progress) -> None:
    """A state is a convenience: a disk that refuses it does not stop the run."""
    try:
        states.save(state, run.encoder.model, run.optimiser)
    except ResourceError as error:
        progress.say(f"No state was saved at step {state.step}: {error.came}. Training goes on.")


class _Run:
    """One run's fixed parts, and a step."""

    def __init__(
        self, encoder: PackedEncoder, data: TrainingSet, objective: Objective, recipe: TrainingRecipe, seed: int
    ) -> None:
        self.encoder, self.data, self.objective, self.recipe, self.seed = encoder, data, objective, recipe, seed
        examples = len(data.sequences) // data.together
        self.plan = StepPlan(examples, recipe.batch_size, epochs=recipe.epochs, seed=seed)
        self.optimiser = build_optimiser(encoder.model, recipe)
        self.precision = resolve_precision(recipe.precision)
        self.frozen: FrozenFeatures | None = None
        self._lengths = np.array([len(sequence) for sequence in data.sequences])
        self._trained = [weight for weight in encoder.model.parameters() if weight.requires_grad]

    def compute_frozen(self, progress: Progress) -> None:
        """Run the frozen layers once, where it pays."""
        self.frozen = FrozenFeatures.for_run(
            self.encoder, self.data.sequences, recipe=self.recipe, precision=self.precision, progress=progress
        )

    def result(self, ended: RunState, *, seconds: float, resumed_at: int) -> TrainingResult:
        """What the run did."""
        keeps_best = ended.best is not None and self.recipe.keep == "best"
        return TrainingResult(
            history=ended.history,
            steps=ended.step,
            tokens=self.tokens_until(ended.step),
            kept_step=ended.best.step if ended.best and keeps_best else ended.step,
            seconds=seconds,
            precision=self.precision,
            resumed_at=resumed_at,
        )

    def watch(self, begun: RunState) -> Watch:
        """Looks at the validation split, from where the run stands."""
        return Watch(
            self.recipe,
            steps=self.plan.steps,
            steps_per_epoch=self.plan.steps_per_epoch,
            best=begun.best,
            looks_since=begun.looks_since,
        )

    def mean_loss(self, data: TrainingSet) -> float:
        """Mean loss over real targets, without dropout, in passes of the usual size."""
        self.encoder.model.eval()
        with torch.no_grad():
            total = sum(float(self._loss(data, rows)) for rows in data.all_passes(self.recipe))
        self.encoder.model.train()
        return total / data.weight_of(np.arange(len(data.sequences)))

    def tokens_until(self, step: int) -> int:
        """Real tokens in the steps before ``step``."""
        return int(sum(self._lengths[self._rows(earlier)].sum() for earlier in range(step)))

    def _rows(self, step: int) -> npt.NDArray[np.int64]:
        """Sequences of a step, those that belong together side by side."""
        together = self.data.together
        return (self.plan.batch(step)[:, None] * together + np.arange(together)).ravel()

    def step(self, step: int) -> dict[str, float]:
        """One optimiser step; its record."""
        rows = self._rows(step)
        torch.manual_seed(self.seed * 1_000_003 + step)  # dropout of a step does not depend on how we came to it
        rate = self.recipe.learning_rate * rate_factor(
            step, steps=self.plan.steps, warmup_fraction=self.recipe.warmup_fraction
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        share_of = self.data.weight_of(rows)
        loss = sum(self._backward(part, share_of=share_of) for part in self.data.passes(rows, self.recipe))
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained, self.recipe.clip_norm or float("inf")))
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise _diverged(step, loss, norm, rate)
        self.optimiser.step()
        tokens = int(self._lengths[rows].sum())
        return {"step": step, "tokens": tokens, "loss": float(loss), "rate": rate, "gradient_norm": norm}

    def _backward(self, rows: npt.NDArray[np.int64], *, share_of: int) -> float:
        loss = self._loss(self.data, rows, after=self.frozen.after(rows) if self.frozen else None) / share_of
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _loss(
        self, data: TrainingSet, rows: npt.NDArray[np.int64], *, after: tuple[int, Tensor] | None = None
    ) -> Tensor:
        """Sum of the losses of some sequences."""
        flat = PackedTensors.of(pack_flat([data.sequences[row] for row in rows]))
        with autocast(self.precision):
            outputs = self.encoder(flat, after=after)
        return self.objective(outputs.float(), data.targets_of(rows), flat.lengths)


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


def _set_dropout(encoder: PackedEncoder, dropout: float | None) -> None:
    if dropout is None:
        return
    encoder.hidden_dropout = dropout
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout


def _refuse_impossible(
    encoder: PackedEncoder, data: TrainingSet, recipe: TrainingRecipe, validation: TrainingSet | None
) -> None:
    if not data.sequences:
        raise DataError("the training split is empty", expected="at least one row")
    if recipe.validate_every is not None and validation is None:
        raise UsageError(
            "training.validate_every is set, and there is no validation split",
            expected="data.validation, or data.validation_fraction: 0.05 to hold one out",
        )
    layers = len(encoder.parts.layers)
    if recipe.frozen_layers > layers:
        raise UsageError(f"frozen_layers is {recipe.frozen_layers}", expected=f"0 to {layers}, the model's layers")


def _diverged(step: int, loss: float, norm: float, rate: float) -> DivergenceError:
    return DivergenceError(
        f"at step {step} the loss is {loss:.4g} and the gradient norm {norm:.4g} (rate {rate:.3g})",
        expected="finite numbers",
        do="Lower training.learning_rate, or look for broken rows near this step.",
    )
