"""Calibration: does a model that says 80 % hit 80 times in a hundred?

Top-1 confidences fall into 15 bins of equal width; the expected calibration error (ECE) is the
mean distance between confidence and accuracy over the bins, weighted by their examples.

Promise: memory is 15 bins whatever the number of examples. Trade: the binned error is a lower
bound of the true one, and its estimate is biased upwards on few examples; the interval allows for it.
Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv 1706.04599, eq. 3.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate.intervals import TAIL, Z95

Floats = npt.NDArray[np.float64]

BINS = 15
_DRAWS = 2000


class ReliabilityBin(Frozen):
    """One bin of the reliability curve: confidences in [low, high), the last one closed.

    Attributes:
        count: examples whose top-1 confidence fell here.
        confidence, accuracy: their means; None in an empty bin.
    """

    low: float
    high: float
    count: int
    correct: int
    confidence: float | None
    accuracy: float | None


class CalibrationBins:
    """Sums by bin of confidence, all that ECE and the reliability curve need."""

    def __init__(self) -> None:
        self._count = np.zeros(BINS)
        self._correct = np.zeros(BINS)
        self._confidence = np.zeros(BINS)
        self._squared_gap = np.zeros(BINS)

    def add(self, confidence: Floats, correct: npt.NDArray[np.bool_]) -> None:
        """Count examples: ``confidence`` float64 (n,) in 0..1, ``correct`` bool (n,)."""
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        self._count += np.bincount(bins, minlength=BINS)
        self._correct += np.bincount(bins, correct, BINS)
        self._confidence += np.bincount(bins, confidence, BINS)
        self._squared_gap += np.bincount(bins, (confidence - correct) ** 2, BINS)

    def curve(self) -> tuple[ReliabilityBin, ...]:
        """The bins from low to high confidence, empty ones included."""
        return tuple(
            ReliabilityBin(
                low=index / BINS,
                high=(index + 1) / BINS,
                count=int(count),
                correct=int(correct),
                confidence=float(confidence / count) if count else None,
                accuracy=float(correct / count) if count else None,
            )
            for index, (count, correct, confidence) in enumerate(
                zip(self._count, self._correct, self._confidence, strict=True)
            )
        )

    def expected_error(self, *, seed: int = 0) -> Measurement:
        """ECE with a conservative interval.

        With g the signed gaps and Z their noise: Σ|g+Z| ≤ Σ|g| + Σ|Z|, and with the true signs s
        Σ|g| ≤ Σ|g+Z| − Σ s·Z. The first bounds ECE from below, the second from above. In bins whose
        gap is beyond doubt (over √ln n standard errors) the sign is known and |Z| becomes Z. The
        ordinary bootstrap covers 0 to 90 % here, because resampled gaps never cancel; this covers
        95 % and more, also for a model that is calibrated perfectly. The z² added to the variance
        keeps the upper bound honest where no error was seen, as in Wilson's interval.

        Source: triangle inequality; selection of bins as in Andrews & Soares 2010, Econometrica 78:119.
        """
        n = float(self._count.sum())
        gaps = (self._confidence - self._correct) / n
        value = float(np.abs(gaps).sum())
        if n == 1:
            return Measurement(value=value, n=1)
        spread = np.sqrt(np.maximum(self._squared_gap / n - gaps**2, 0) / n)
        noise = np.random.default_rng(seed).standard_normal((_DRAWS, BINS)) * spread
        certain = np.abs(gaps) > math.sqrt(math.log(n)) * spread
        down = float(np.quantile(np.where(certain, noise, np.abs(noise)).sum(axis=1), 1 - TAIL))
        up = Z95 * math.sqrt(float(self._squared_gap.sum()) + Z95**2) / n
        return Measurement(value=value, low=max(0.0, value - max(0.0, down)), high=min(1.0, value + up), n=int(n))
