"""Spearman's rank correlation, over many resamplings at once."""

from __future__ import annotations

import numpy as np

from penjing.evaluate.confusion import Floats
from penjing.evaluate.resampling import Statistic


def spearman(one: Floats, other: Floats) -> Statistic:
    """How well two measures of the same observations agree in order; equal values share their mean rank.

    Args:
        one: float64 (n,).
        other: float64 (n,).

    Returns:
        counts (draws, n), how often each observation was drawn → ρ (draws,); 0 where all values are equal.

    Source: Spearman 1904, American Journal of Psychology 15:72; mid-ranks for ties.
    """
    ranked = [_Ranked(values) for values in (one, other)]

    def statistic(counts: Floats) -> Floats:
        first, second = (side.ranks(counts) for side in ranked)
        total = counts.sum(axis=1, keepdims=True)
        first -= (counts * first).sum(axis=1, keepdims=True) / total
        second -= (counts * second).sum(axis=1, keepdims=True) / total
        shared = (counts * first * second).sum(axis=1)
        spread = np.sqrt((counts * first**2).sum(axis=1) * (counts * second**2).sum(axis=1))
        return np.asarray(np.where(spread > 0, shared / np.where(spread > 0, spread, 1.0), 0.0))

    return statistic


class _Ranked:
    """Values in order, ready to be ranked however often each was drawn."""

    def __init__(self, values: Floats) -> None:
        kinds, self._kind = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._kind, kind="stable")
        self._starts = np.searchsorted(self._kind[self._order], np.arange(len(kinds)))

    def ranks(self, counts: Floats) -> Floats:
        """Mid-rank (draws, n) of each observation among those drawn."""
        together = np.add.reduceat(counts[:, self._order], self._starts, axis=1).astype(np.float64)
        return np.asarray((together.cumsum(axis=1) - (together - 1) / 2)[:, self._kind])
