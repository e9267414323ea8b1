"""What the loop trains on: sequences, targets, and how they are split into passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.models.packed import LayerTrace, PackedTensors
from penjing.tokens import Encoding

# (outputs (cells read, outputs), targets of the same sequences, their lengths (sequences,)) → the *sum* of the
# losses over real targets, scalar.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Pass:
    """A forward pass, for a loss that hangs on more than outputs and targets.

    Attributes:
        batch: what went in.
        outputs: float32 (cells read, outputs).
        targets: of the same sequences.
        weights: (sequences,), real targets of each.
        teacher: float32, in the form of ``outputs``; None where the set has none.
        done: share of the run that is behind, 0 to 1; 1 in a look at held-out data, so that looks compare.
        trace: what every layer computed, where the loss asks for it.
    """

    batch: PackedTensors
    outputs: Tensor
    targets: Tensor
    weights: Tensor
    teacher: Tensor | None
    done: float
    trace: Sequence[LayerTrace]


@runtime_checkable
class PassObjective(Protocol):
    """A loss over a whole :class:`Pass`.

    Attributes:
        traces: whether it looks inside the layers.
    """

    traces: bool

    def of_pass(self, given: Pass) -> Tensor:
        """The *sum* of the losses over real targets, scalar."""


class Plain:
    """An :data:`Objective` as a :class:`PassObjective`."""

    traces = False

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def of_pass(self, given: Pass) -> Tensor:
        """See :class:`PassObjective`."""
        return self._objective(given.outputs, given.targets, given.batch.lengths)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Sequences and what should come out.

    Attributes:
        sequences: tokenised texts.
        targets: an array with a row a sequence, or a list of arrays with a row a token.
        weights: int64 (sequences,), how many real targets each has; None is one each, ``targets`` as many as its
            targets have rows.
        together: sequences that are drawn as one, 2 for pairs of texts. Then a step is one pass, for the loss
            of a pair may hang on all others of its step.
        teacher: outputs of another model, float32, in the form of this one's: a row a sequence, or an array a
            sequence with a row a token; None where nobody teaches.
        lengths: int64 (sequences,), tokens of each, where they are known without looking.
        redrawn: epoch → what there is in it, where that is not the same in every one.
    """

    sequences: Sequence[Encoding]
    targets: npt.NDArray[Any] | Sequence[npt.NDArray[Any]]
    weights: npt.NDArray[np.int64] | Literal["targets"] | None = None
    together: int = 1
    teacher: npt.NDArray[np.float32] | Sequence[npt.NDArray[np.float32]] | None = None
    lengths: npt.NDArray[np.int64] | None = None
    redrawn: Callable[[int], TrainingSet] | None = None

    def in_epoch(self, epoch: int) -> TrainingSet:
        """What there is in an epoch, counted from 0."""
        return self.redrawn(epoch) if self.redrawn else self

    def targets_of(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Targets of some sequences, one after another."""
        return _of_rows(self.targets, rows)

    def teacher_of(self, rows: npt.NDArray[np.int64]) -> Tensor | None:
        """The other model's outputs for some sequences, one after another."""
        return None if self.teacher is None else _of_rows(self.teacher, rows)

    def weights_of(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Real targets of each of some sequences, float32."""
        if isinstance(self.weights, str):
            return torch.tensor([len(self.targets[row]) for row in rows], dtype=torch.float32)
        return torch.ones(len(rows)) if self.weights is None else torch.from_numpy(self.weights[rows]).float()

    def weight_of(self, rows: npt.NDArray[np.int64]) -> int:
        """Real targets of some sequences; 1 where there is none."""
        if self.weights is None:
            return len(rows)
        if isinstance(self.weights, str):
            return max(1, sum(len(self.targets[row]) for row in rows))
        return max(1, int(self.weights[rows].sum()))

    def passes(self, rows: npt.NDArray[np.int64], pass_tokens: int) -> Iterator[npt.NDArray[np.int64]]:
        """The rows of a step, a pass at a time."""
        if self.together > 1:
            return iter([rows])
        return split_to_passes(rows, self.lengths_of(rows), pass_tokens)

    def all_passes(self, *, batch_size: int, pass_tokens: int) -> Iterator[npt.NDArray[np.int64]]:
        """Every row once: by length, or, where rows belong together, as many at a time as in a step."""
        rows = np.arange(len(self.sequences))
        if self.together > 1:
            size = batch_size * self.together
            return iter(np.split(rows, range(size, len(rows), size)))
        return self.passes(np.argsort(self.lengths_of(rows), kind="stable"), pass_tokens)

    def lengths_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """int64 (rows,), tokens of some sequences."""
        if self.lengths is not None:
            return self.lengths[rows]
        return np.array([len(self.sequences[row]) for row in rows])


def _of_rows(held: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> Tensor:
    if isinstance(held, np.ndarray):
        return torch.from_numpy(held[rows])
    return torch.from_numpy(np.concatenate([held[row] for row in rows]))


def split_to_passes(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], pass_tokens: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Split rows of these lengths so that no pass exceeds ``pass_tokens`` (a single longer sequence goes alone)."""
    cuts, room = [], pass_tokens
    for at, length in enumerate(lengths):
        if at and length > room:
            cuts.append(at)
            room = pass_tokens
        room -= int(length)
    yield from np.split(rows, cuts)
