"""Scores of a regression, and what changed between two models.

``r2`` is what tables and gates go by: unlike a correlation it falls, too, where all numbers are off by as much.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate.confusion import ClassFigures
from penjing.evaluate.inputs import Floats
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import Statistic, resample
from penjing.evaluate.spearman import spearman

Numbers = npt.NDArray[np.float32]


class NumbersResult(Frozen):
    """What a regression was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        n: texts, or pairs.
        metrics: ``r2`` (share of the numbers' variance that is explained; below 0 where their mean would do
            better), ``pearson``, ``spearman``, and in the numbers' own unit ``mae`` (mean absolute error) and
            ``rmse`` (root of the mean squared error).
    """

    kind: Literal["numbers"] = "numbers"
    labels: tuple[str, ...] = ()
    n: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return "r2", "pearson", "rmse"


class NumbersChange(Frozen):
    """How a candidate differs from its baseline on the same texts.

    Attributes:
        n: texts, or pairs.
        baseline, candidate, difference: of R², resampled together; candidate − baseline.
        agreement: R² of the candidate's numbers, were the baseline's the true ones.
        apart: mean distance between the two numbers of a text.
    """

    kind: Literal["numbers"] = "numbers"
    n: int
    baseline: Measurement
    candidate: Measurement
    difference: Measurement
    agreement: Measurement
    apart: Measurement
    per_class: tuple[ClassChange, ...] = ()

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"r2": self.difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("R² of {baseline}", self.baseline, "number"),
            ComparisonRow("R² of {candidate}", self.candidate, "number"),
            ComparisonRow("Difference in R²", self.difference, "number"),
            ComparisonRow("Agreement (R² of the one by the other)", self.agreement, "number"),
            ComparisonRow("Mean distance of their numbers", self.apart, "number"),
        )


def score_numbers(given: Numbers, targets: Numbers, *, seed: int = 0) -> NumbersResult:
    """The figures.

    Args:
        given: float32 (texts,).
        targets: float32 (texts,).
        seed: of the resampling.

    Raises:
        DataError: no texts, lengths that differ, or numbers that are none.
    """
    found, true = _checked(given, targets)
    apart = np.abs(found - true)
    statistics = {
        "r2": r_squared(found, true),
        "pearson": pearson(found, true),
        "spearman": spearman(found, true),
        "mae": _mean_of(apart),
        "rmse": lambda counts: np.sqrt(_mean_of(apart**2)(counts)),
    }
    return NumbersResult(
        n=len(true), metrics={name: resample(len(true), one, seed=seed) for name, one in statistics.items()}
    )


def compare_numbers(baseline: Numbers, candidate: Numbers, *, targets: Numbers, seed: int = 0) -> NumbersChange:
    """What is different between two models' numbers for the same texts.

    Raises:
        DataError: as :func:`score_numbers`.
    """
    first, true = _checked(baseline, targets)
    second, _ = _checked(candidate, targets)
    before, after = r_squared(first, true), r_squared(second, true)
    return NumbersChange(
        n=len(true),
        baseline=resample(len(true), before, seed=seed),
        candidate=resample(len(true), after, seed=seed),
        difference=resample(len(true), lambda counts: after(counts) - before(counts), seed=seed),
        agreement=resample(len(true), r_squared(second, first), seed=seed),
        apart=resample(len(true), _mean_of(np.abs(second - first)), seed=seed),
    )


def r_squared(found: Floats, true: Floats) -> Statistic:
    """1 − Σ(found − true)² / Σ(true − mean)²; 0 where all true numbers are equal."""
    missed = (found - true) ** 2
    centred = true - true.mean()  # small numbers keep their digits when squared

    def statistic(counts: Floats) -> Floats:
        n = counts.sum(axis=1)
        spread = counts @ centred**2 - (counts @ centred) ** 2 / n
        some = spread > 1e-12 * n
        return np.asarray(np.where(some, 1 - (counts @ missed) / np.where(some, spread, 1.0), 0.0))

    return statistic


def pearson(one: Floats, other: Floats) -> Statistic:
    """Pearson's correlation; 0 where all of one are equal."""
    first, second = one - one.mean(), other - other.mean()

    def statistic(counts: Floats) -> Floats:
        n = counts.sum(axis=1)
        sums = [counts @ part for part in (first, second, first * second, first**2, second**2)]
        shared = sums[2] - sums[0] * sums[1] / n
        spread = np.sqrt(np.maximum((sums[3] - sums[0] ** 2 / n) * (sums[4] - sums[1] ** 2 / n), 0.0))
        some = spread > 1e-12 * n
        return np.asarray(np.where(some, shared / np.where(some, spread, 1.0), 0.0))

    return statistic


def _mean_of(values: Floats) -> Statistic:
    return lambda counts: np.asarray(counts @ values / counts.sum(axis=1))


def _checked(given: Numbers, targets: Numbers) -> tuple[Floats, Floats]:
    if given.shape != targets.shape or given.ndim != 1 or not len(given):
        raise DataError(f"numbers of shapes {given.shape} and {targets.shape}", expected="one for each text")
    if not np.isfinite(given).all():
        raise DataError(
            "numbers that are NaN or infinite", expected="finite ones", do="The model diverged in training."
        )
    return given.astype(np.float64), targets.astype(np.float64)
