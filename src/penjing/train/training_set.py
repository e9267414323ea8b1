"""What the loop trains on: sequences, targets, and how they are split into passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.tokens import Encoding

# (outputs (cells read, outputs), targets of the same sequences, their lengths (sequences,)) → the *sum* of the
# losses over real targets, scalar.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Sequences and what should come out.

    Attributes:
        sequences: tokenised texts.
        targets: an array with a row a sequence, or a list of arrays with a row a token.
        weights: int64 (sequences,), how many real targets each has; None is one each.
        together: sequences that are drawn as one, 2 for pairs of texts. Then a step is one pass, for the loss
            of a pair may hang on all others of its step.
    """

    sequences: Sequence[Encoding]
    targets: npt.NDArray[Any] | Sequence[npt.NDArray[Any]]
    weights: npt.NDArray[np.int64] | None = None
    together: int = 1

    def targets_of(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Targets of some sequences, one after another."""
        if isinstance(self.targets, np.ndarray):
            return torch.from_numpy(self.targets[rows])
        return torch.from_numpy(np.concatenate([self.targets[row] for row in rows]))

    def weight_of(self, rows: npt.NDArray[np.int64]) -> int:
        """Real targets of some sequences; 1 where there is none."""
        return len(rows) if self.weights is None else max(1, int(self.weights[rows].sum()))

    def passes(self, rows: npt.NDArray[np.int64], pass_tokens: int) -> Iterator[npt.NDArray[np.int64]]:
        """The rows of a step, a pass at a time."""
        if self.together > 1:
            return iter([rows])
        return split_to_passes(rows, self._lengths(rows), pass_tokens)

    def all_passes(self, *, batch_size: int, pass_tokens: int) -> Iterator[npt.NDArray[np.int64]]:
        """Every row once: by length, or, where rows belong together, as many at a time as in a step."""
        rows = np.arange(len(self.sequences))
        if self.together > 1:
            size = batch_size * self.together
            return iter(np.split(rows, range(size, len(rows), size)))
        return self.passes(np.argsort(self._lengths(rows), kind="stable"), pass_tokens)

    def _lengths(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.array([len(self.sequences[row]) for row in rows])


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
