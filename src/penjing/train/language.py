"""What a language model is trained on: sequences with masks drawn anew in every epoch, or every next token.

Promise: the masks of a sequence depend on the seed, the epoch and its place in the split alone. So a run that
is killed and taken up again, or split into other passes, sees the same ones. Sequences are made when a step
asks for them: memory does not grow with the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, TypeVar, final, overload

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from penjing.tokens import Encoding
from penjing.tokens.masking import Masker
from penjing.train.training_set import TrainingSet

T = TypeVar("T")
_KEPT = 4096  # draws; a step asks for each of its sequences three times


def masked_set(
    sequences: Sequence[Encoding], masker: Masker, *, seed: int, lengths: npt.NDArray[np.int64], epoch: int = 0
) -> TrainingSet:
    """What to train on in an epoch.

    Args:
        sequences: without masks.
        masker: draws them.
        seed: of the run.
        lengths: int64 (sequences,).
        epoch: from 0.
    """

    @lru_cache(maxsize=_KEPT)
    def drawn(row: int) -> tuple[Encoding, npt.NDArray[Any]]:
        return masker.draw(sequences[row], np.random.default_rng([seed, epoch, row]))

    count = len(sequences)
    return TrainingSet(
        _Drawn(lambda row: drawn(row)[0], count),
        _Drawn(lambda row: drawn(row)[1], count),
        weights="targets",
        lengths=lengths,
        redrawn=lambda wanted: masked_set(sequences, masker, seed=seed, lengths=lengths, epoch=wanted),
    )


def next_token_set(sequences: Sequence[Encoding], *, lengths: npt.NDArray[np.int64]) -> TrainingSet:
    """Every token but the first of each sequence, to be told from those before it.

    Args:
        sequences: of documents.
        lengths: int64 (sequences,).
    """

    def read(row: int) -> Encoding:
        return replace(sequences[row], chosen=np.arange(int(lengths[row]) - 1))

    return TrainingSet(
        _Drawn(read, len(sequences)),
        _Drawn(lambda row: sequences[row].ids[1:], len(sequences)),
        weights=lengths - 1,
        lengths=lengths,
    )


def token_loss(logits: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Summed cross-entropy of the tokens to guess: logits (chosen, vocabulary), targets int64 (chosen,)."""
    del lengths
    return functional.cross_entropy(logits, targets, reduction="sum")


@final
class _Drawn(Sequence[T], Generic[T]):
    """A sequence whose elements are made when asked for."""

    def __init__(self, make: Any, count: int) -> None:
        self._make, self._count = make, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        if index >= self._count:
            raise IndexError(index)
        made: T = self._make(int(index))
        return made
