"""One optimiser step, and what it survives.

Promises: the loss of a step is the mean over its targets however it is split into passes. A step whose
loss or gradient is no number changes nothing: weights and moments stay those of the last good step. A
step that does not fit the memory is done again in passes of half the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from penjing.core.errors import DivergenceError, ResourceError
from penjing.core.progress import Progress
from penjing.models.decoder import PackedModel
from penjing.models.packed import LayerTrace, PackedTensors
from penjing.tokens import pack_flat
from penjing.train.frozen import FrozenFeatures, autocast
from penjing.train.optimiser import build_optimiser, rate_factor
from penjing.train.parts import whole
from penjing.train.plan import StepPlan
from penjing.train.profile import UNTIMED, Clock
from penjing.train.ranks import ALONE
from penjing.train.recipe import TrainingRecipe, resolve_precision
from penjing.train.sharding import is_spread
from penjing.train.sparsity import Zeros
from penjing.train.training_set import Objective, Pass, PassObjective, Plain, TrainingSet

# (share of the run that is done, mean loss on the validation split) → whether to end the run.
OnLook = Callable[[float, float], bool]
# (steps done, the last one's record) → None.
OnStep = Callable[[int, Mapping[str, float]], None]
_SMALLEST_PASS = 64  # tokens; where that does not fit, half of it will not either
_NAMED = 5


def unheard(done: int, record: Mapping[str, float]) -> None:
    """What is told of steps where nobody listens."""
    del done, record


class Stepper:
    """A run's fixed parts, and a step of it.

    Args:
        encoder: trained in place.
        data: the training split.
        objective: sum of losses over real targets, of outputs alone or of a whole pass.
        recipe: settings.
        seed: of order and dropout.

    Attributes:
        on_look: told of each look at the validation split; says whether the run should end there.
        on_step: told of each step.
        clock: told of the parts of each step.
        ranks: this process's place among those that train.
        pass_tokens: tokens a forward pass; smaller than the recipe's once a step did not fit the memory.
        left_out: steps that gave no number, so far.
        zeros: holds and makes them.
        is_spread: whether several processes hold the model in parts.
    """

    def __init__(
        self,
        encoder: PackedModel,
        data: TrainingSet,
        objective: Objective | PassObjective,
        *,
        recipe: TrainingRecipe,
        seed: int,
    ) -> None:
        self.encoder, self.data, self.recipe, self.seed = encoder, data, recipe, seed
        self.objective = objective if isinstance(objective, PassObjective) else Plain(objective)
        examples = len(data.sequences) // data.together
        self.plan = StepPlan(examples, recipe.batch_size, epochs=recipe.epochs, seed=seed)
        self.optimiser = build_optimiser(encoder.model, recipe)
        self.zeros = Zeros(encoder, self.optimiser, recipe, steps=self.plan.steps)
        self.precision = resolve_precision(recipe.precision)
        self.pass_tokens = recipe.pass_tokens
        self.left_out: list[int] = []
        self._done = 0.0
        self.is_spread = is_spread(encoder)
        self.on_look: OnLook | None = None
        self.on_step: OnStep = unheard
        self.clock: Clock = UNTIMED
        self.ranks = ALONE
        self.frozen: FrozenFeatures | None = None
        self._epoch = 0
        self._lengths = data.lengths_of(np.arange(len(data.sequences)))
        self._trained = [weight for weight in encoder.model.parameters() if weight.requires_grad]

    def compute_frozen(self, progress: Progress) -> None:
        """Run the frozen layers once, where it pays, nobody looks inside them, and their input stays the same."""
        if self.objective.traces or self.data.redrawn is not None:
            return
        self.frozen = FrozenFeatures.for_run(
            self.encoder, self.data.sequences, recipe=self.recipe, precision=self.precision, progress=progress
        )

    def tokens_until(self, step: int) -> int:
        """Real tokens in the steps before ``step``."""
        return int(sum(self._lengths[self._rows(earlier)].sum() for earlier in range(step)))

    def step(self, step: int, progress: Progress) -> dict[str, float]:
        """One optimiser step; its record, without a loss where the step was left out.

        Raises:
            DivergenceError: no number again and again, or never again: the weights themselves hold none.
            ResourceError: not even a small pass fits the memory.
        """
        self._draw(step)
        rows, self._done = self._rows(step), step / self.plan.steps
        rate = self.recipe.learning_rate * rate_factor(
            step, steps=self.plan.steps, warmup_fraction=self.recipe.warmup_fraction
        )
        self.optimiser.set_rate(rate)
        record = {"step": step, "tokens": int(self._lengths[rows].sum()), "rate": rate}
        with self.clock.step(int(record["tokens"])):
            record |= self._update(step, rows, rate, progress)
            self.zeros.cut(step + 1)
        return record

    def _update(self, step: int, rows: npt.NDArray[np.int64], rate: float, progress: Progress) -> dict[str, float]:
        """Forward, backward, clip, and move the weights; loss and gradient norm, unless they are no numbers."""
        loss = self.ranks.sum(self._gradients(step, rows, progress))
        with self.clock.part("sum gradients"):
            if not self.is_spread:  # else they are summed already, part by part
                self.ranks.sum_gradients(self._trained)
        with self.clock.part("clip"):
            norm = float(whole(torch.nn.utils.clip_grad_norm_(self._trained, self.recipe.clip_norm or float("inf"))))
        if not np.isfinite(loss) or not np.isfinite(norm):
            self._leave_out(step, loss, norm, rate, progress)
            return {}
        with self.clock.part("optimiser"):
            self.zeros.before_update()
            self.optimiser.step()
            self.zeros.hold()
        return {"loss": loss, "gradient_norm": norm}

    def _missing(self, made: int) -> int:
        """Passes that other processes make more than this one, through layers that all hold together."""
        return self.ranks.most(made) - made if self.is_spread else 0

    def _draw(self, step: int) -> None:
        """Take what there is in the step's epoch."""
        epoch = step // self.plan.steps_per_epoch
        if epoch != self._epoch:
            self.data, self._epoch = self.data.in_epoch(epoch), epoch

    def mean_loss(self, data: TrainingSet) -> float:
        """Mean loss over real targets, without dropout, in passes of the usual size."""
        alike = self.pass_tokens if self.ranks is ALONE else self.recipe.pass_tokens  # for all processes
        passes = data.all_passes(batch_size=self.recipe.batch_size, pass_tokens=alike)
        mine = list(islice(passes, self.ranks.rank, None, self.ranks.count))
        self.encoder.model.eval()
        done, self._done = self._done, 1.0
        with torch.no_grad():
            missing = self._missing(len(mine))
            loss = sum(float(self._loss(data, rows)) for rows in mine)
            for _ in range(missing):
                self._loss(data, np.zeros(1, np.int64))
            total = self.ranks.sum(loss)
        self._done = done
        self.encoder.model.train()
        return total / data.weight_of(np.arange(len(data.sequences)))

    def _rows(self, step: int) -> npt.NDArray[np.int64]:
        """Sequences of a step, those that belong together side by side."""
        return self._of_examples(self.plan.batch(step)).ravel()

    def _of_examples(self, examples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Sequences of some examples, (examples, together)."""
        return examples[:, None] * self.data.together + np.arange(self.data.together)

    def _gradients(self, step: int, rows: npt.NDArray[np.int64], progress: Progress) -> float:
        """Fill the gradients of this process's share of a step; what that adds to the step's mean loss."""
        mine = self.ranks.mine(rows, self._lengths[rows])
        while True:
            # Dropout of a step does not depend on how we came to it.
            torch.manual_seed(self.ranks.seed(self.seed * 1_000_003 + step))
            self.optimiser.forget_gradients()
            share_of = self.data.weight_of(rows)
            try:
                passes = list(self.data.passes(mine, self.pass_tokens)) if len(mine) else []
                missing = self._missing(len(passes))  # asked before any pass: nobody waits in the middle of one
                loss = sum(self._backward(part, share_of=share_of) for part in passes)
                for _ in range(missing):
                    (self._loss(self.data, rows[:1]) * 0).backward()  # type: ignore[no-untyped-call]
                return loss
            except (RuntimeError, MemoryError) as error:
                if not _is_want_of_memory(error):
                    raise
                self._halve_passes(step, error)
            progress.say(f"Step {step} did not fit the memory; passes hold {self.pass_tokens:,} tokens from here on.")

    def _halve_passes(self, step: int, error: Exception) -> None:
        if self.data.together > 1 or self.is_spread or self.pass_tokens // 2 < _SMALLEST_PASS:
            size = "whole, as pairs need" if self.data.together > 1 else f"in passes of {self.pass_tokens} tokens"
            raise ResourceError(
                f"step {step} does not fit the memory, {size}",
                expected="room for one pass",
                do="Lower training.batch_size or text.max_tokens, freeze layers, or take a smaller model.",
            ) from error
        self.pass_tokens //= 2

    def _backward(self, rows: npt.NDArray[np.int64], *, share_of: int) -> float:
        loss = self._loss(self.data, rows, after=self.frozen.after(rows) if self.frozen else None) / share_of
        with self.clock.part("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _loss(
        self, data: TrainingSet, rows: npt.NDArray[np.int64], *, after: tuple[int, Tensor] | None = None
    ) -> Tensor:
        """Sum of the losses of some sequences."""
        with self.clock.part("pack"):
            flat = PackedTensors.of(pack_flat([data.sequences[row] for row in rows], reads=self.encoder.head.reads))
        trace: list[LayerTrace] = []
        inside = {"trace": trace} if self.objective.traces else {}
        with self.clock.part("forward"), autocast(self.precision):
            outputs = self.encoder(flat, after=after, **inside).float()
        targets, weights, teacher = data.targets_of(rows), data.weights_of(rows), data.teacher_of(rows)
        with self.clock.part("loss"):
            return self.objective.of_pass(Pass(flat, outputs, targets, weights, teacher, self._done, trace))

    def _leave_out(self, step: int, loss: float, norm: float, rate: float, progress: Progress) -> None:
        """Note a step that gave no number; refuse to go on where that is no exception any more."""
        cause = self._cause(step)
        self.left_out.append(step)
        in_a_row = self.left_out[-self.recipe.leave_out - 1 :]
        every = in_a_row == list(range(step - self.recipe.leave_out, step + 1))
        if every or spoilt(self.encoder.model):
            raise DivergenceError(
                f"at step {step} the loss is {loss:.4g} and the gradient norm {norm:.4g} (rate {rate:.3g}): {cause}",
                expected="finite numbers",
                do="Lower training.learning_rate, or mend the rows named.",
            )
        progress.say(f"Step {step} was left out: loss {loss:.4g}, gradient norm {norm:.4g}: {cause}.")

    def _cause(self, step: int) -> str:
        """Where the missing number comes from, as a clause."""
        names = spoilt(self.encoder.model)
        if names:
            return f"weights hold no numbers: {_some(names)}"
        examples = self.plan.batch(step)
        with torch.no_grad():
            losses = [float(self._loss(self.data, rows)) for rows in self._of_examples(examples)]
        culprits = [int(row) for row, loss in zip(examples, losses, strict=True) if not np.isfinite(loss)]
        if culprits:
            return f"from training rows {_some(culprits)}, counted from 0"
        return "no single row gives it"


def spoilt(model: nn.Module) -> list[str]:
    """Names of the weights that hold something that is no finite number."""
    return [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]


def _some(found: Sequence[object]) -> str:
    named = ", ".join(str(one) for one in found[:_NAMED])
    return named if len(found) <= _NAMED else f"{named} and {len(found) - _NAMED} more"


def _is_want_of_memory(error: Exception) -> bool:
    """Whether an allocation failed: on a CPU torch says so in words alone."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
