"""Regression: one number for a text or a pair of texts.

targets    the number
loss       squared error, in units of the training numbers' spread
decoding   the head's one output is the number: its last layer is put into the numbers' own scale after training

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from penjing.data.examples import PairExample

OUTPUT = "score"  # the name of the head's one output


@dataclass(frozen=True, slots=True)
class NumberPrediction:
    """An answer: the number."""

    score: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the training numbers lie: a head learns (number − mean) / spread, whatever their unit."""

    mean: float
    spread: float

    @classmethod
    def of(cls, targets: npt.NDArray[np.float32]) -> Scale:
        """Mean and standard deviation; a spread of 1 where all are equal."""
        wide = targets.astype(np.float64)
        return cls(float(wide.mean()), float(wide.std()) or 1.0)


def targets_of(examples: Sequence[PairExample]) -> npt.NDArray[np.float32]:
    """The numbers, float32 (examples,)."""
    return np.array([example.score for example in examples], np.float32)


def loss(outputs: Tensor, targets: Tensor, lengths: Tensor, *, scale: Scale) -> Tensor:
    """Squared error summed over sequences: Σ (output − (target − mean) / spread)².

    Args:
        outputs: (sequences, 1), in units of ``scale``.
        targets: (sequences,), in their own.
        lengths: of the sequences; not needed.
        scale: of the training numbers.
    """
    del lengths
    return ((outputs[:, 0] - (targets - scale.mean) / scale.spread) ** 2).sum()


def decode(outputs: npt.NDArray[np.float32]) -> list[NumberPrediction]:
    """Answers for outputs (sequences, 1)."""
    return [NumberPrediction(value) for value in outputs[:, 0].tolist()]
