"""Bootstrap intervals from counts of equal observations.

Promise: memory depends on how many *different* observations there are (sentences with the same
counts of right, found and true entities are one), not on how many in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Measurement
from penjing.evaluate.intervals import Z95

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
_DRAWS = 2000
_CELLS_AT_ONCE = 1 << 21  # 16 MiB of counts


def bootstrap(seen: Counter[tuple[int, ...]], statistic: Statistic, *, seed: int = 0) -> Measurement:
    """A statistic of sums over independent observations, with its bias-corrected 95 % interval.

    Args:
        seen: observation (counts that add up) → how often it was made; at least one.
        statistic: sums (draws, counts) → values (draws,).
        seed: of the resampling.

    Source: Efron 1987, "Better bootstrap confidence intervals", JASA 82:171 (the BC method).
    """
    kinds = np.array(list(seen), np.float64)
    often = np.array(list(seen.values()), np.int64)
    return _interval(often, lambda counts: statistic(counts @ kinds), seed)


def resample(n: int, statistic: Statistic, *, seed: int = 0) -> Measurement:
    """A statistic of observations that are all kept, with its bias-corrected 95 % interval.

    Args:
        n: observations, at least one.
        statistic: counts (draws, n), how often each was drawn → values (draws,).
        seed: of the resampling.

    Source: as :func:`bootstrap`.
    """
    return _interval(np.ones(n, np.int64), statistic, seed)


def _interval(often: npt.NDArray[np.int64], statistic: Statistic, seed: int) -> Measurement:
    n = int(often.sum())
    value = float(statistic(often[None].astype(np.float64))[0])
    drawn = _resampled(often, statistic, np.random.default_rng(seed))
    below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / _DRAWS
    normal = NormalDist()
    shift = 2 * normal.inv_cdf(float(np.clip(below, 1 / _DRAWS, 1 - 1 / _DRAWS)))
    low, high = np.quantile(drawn, [normal.cdf(shift - Z95), normal.cdf(shift + Z95)]).tolist()
    return Measurement(value=value, low=min(low, value), high=max(high, value), n=n)


def _resampled(often: npt.NDArray[np.int64], statistic: Statistic, random: np.random.Generator) -> Floats:
    n, parts = int(often.sum()), []
    batch = max(1, _CELLS_AT_ONCE // len(often))
    for start in range(0, _DRAWS, batch):
        counts = random.multinomial(n, often / n, size=min(batch, _DRAWS - start))
        parts.append(statistic(counts.astype(np.float64)))
    return np.concatenate(parts)
