"""95 % intervals for shares, differences of shares, means and quantiles.

Promises: every interval holds its estimate and stays inside the range the quantity can take.
Trades: the method of each is chosen for its coverage at the sizes met here (hundreds to millions
of examples), not for being the shortest; ``tests/evaluate`` keeps the coverage by simulation.
All assume independent observations: near-duplicates in a test split make them too narrow.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Measurement

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]

TAIL = 0.025  # what a 95 % interval leaves out on each side
_HALVINGS = 50
Z95 = NormalDist().inv_cdf(1 - TAIL)


def wilson(successes: int, n: int) -> Bounds:
    """Score interval of a share.

    Args:
        successes: how many of ``n``; 0..n.
        n: observations, at least 1.

    Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.
    """
    share, square = successes / n, Z95 * Z95
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def share(successes: int, n: int) -> Measurement:
    """A share with its Wilson interval."""
    low, high = wilson(successes, n)
    return Measurement(value=successes / n, low=low, high=high, n=n)


def clopper_pearson(successes: int, n: int) -> Bounds:
    """Exact interval of a share: never less than 95 %, at the price of being wider than Wilson's.

    Args:
        successes: how many of ``n``; 0..n.
        n: observations, at least 1.

    Source: Clopper and Pearson 1934, Biometrika 26:404.
    """
    low, high = (_largest_share(n - successes, n), _largest_share(successes, n))
    return 1.0 - low, high


def _largest_share(successes: int, n: int) -> float:
    """The share at which so few successes, or fewer, are just as improbable as one tail."""
    if successes == n:
        return 1.0
    low, high = successes / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_cdf(n, middle)[successes] > TAIL else (low, middle)
    return high


def newcombe_paired(both: int, neither: int, *, only_first: int, only_second: int) -> Bounds:
    """Interval of (share of the second − share of the first) on the same observations.

    Two Wilson intervals, joined with the correlation φ of the pair; φ is corrected for continuity
    so that few disagreements do not give a false certainty. Coverage at 1 % disagreement: ≥ 95 %.

    Args:
        both: observations where both succeed.
        neither: where both fail.
        only_first: where the first alone succeeds.
        only_second: where the second alone does; the four sum to one at least.

    Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10.
    """
    n = both + only_first + only_second + neither
    first, second = (both + only_first) / n, (both + only_second) / n
    low_first, high_first = wilson(both + only_first, n)
    low_second, high_second = wilson(both + only_second, n)
    phi = _corrected_phi(both, neither, only_first=only_first, only_second=only_second)
    down = _joined(second - low_second, high_first - first, phi)
    up = _joined(high_second - second, first - low_first, phi)
    return max(-1.0, second - first - down), min(1.0, second - first + up)


def _corrected_phi(both: int, neither: int, *, only_first: int, only_second: int) -> float:
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(0.0, excess - n / 2)
    return excess / math.sqrt(margins)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided p of "both are right equally often", from the examples where one alone is right.

    Source: McNemar 1947, Psychometrika 12:153, with the binomial in place of χ².
    """
    changed = only_first + only_second
    if changed == 0:
        return 1.0
    return min(1.0, 2 * float(_binomial_cdf(changed, 0.5)[min(only_first, only_second)]))


def mean(total: float, squares: float, n: int, *, unit: str = "") -> Measurement:
    """The mean of values ≥ 0 with its normal interval, from Σx and Σx²; none for a single observation."""
    value = total / n
    if n == 1:
        return Measurement(value=value, n=1, unit=unit)
    variance = max(0.0, squares - n * value * value) / (n - 1)
    half = Z95 * math.sqrt(variance / n)
    return Measurement(value=value, low=max(0.0, value - half), high=value + half, n=n, unit=unit)


def quantile(sample: Floats, q: float, *, unit: str = "") -> Measurement:
    """A quantile with its order-statistic interval: exact whatever the distribution.

    The bounds are observed values; where the sample is too small to bound both sides (n < 6 for
    the median, n < 368 for the 99th percentile) none are given.

    Args:
        sample: float64 (n,), n ≥ 1, in any order.
        q: 0 < q < 1.
        unit: of the sample.

    Source: David & Nagaraja, Order Statistics, 3rd ed., §7.1.
    """
    ordered = np.sort(sample)
    value, n = float(np.quantile(ordered, q)), len(ordered)
    low_rank, high_rank = quantile_ranks(n, q)
    if low_rank < 1 or high_rank > n:
        return Measurement(value=value, n=n, unit=unit)
    low, high = float(ordered[low_rank - 1]), float(ordered[high_rank - 1])
    return Measurement(value=value, low=min(low, value), high=max(high, value), n=n, unit=unit)


def quantile_ranks(n: int, q: float) -> tuple[int, int]:
    """Ranks from 1 of the two order statistics that hold the quantile with ≥ 95 %.

    Returns:
        The ranks; the lower is 0, the upper n + 1, where no observation can serve.
    """
    cdf = _binomial_cdf(n, q)
    return int(np.searchsorted(cdf, TAIL, side="right")), int(np.searchsorted(cdf, 1 - TAIL)) + 1


def _binomial_cdf(n: int, q: float) -> Floats:
    k = np.arange(n + 1, dtype=np.float64)
    log_choose = np.concatenate(([0.0], np.cumsum(np.log(n - k[1:] + 1) - np.log(k[1:]))))
    pmf = np.exp(log_choose + k * math.log(q) + (n - k) * math.log1p(-q))
    return np.asarray(np.minimum(np.cumsum(pmf), 1.0))
