"""Scores of several labels a text, and what changed between two models.

Micro-F1 counts every pair of a text and a label that holds, macro-F1 every label alike, subset accuracy the
texts that are given exactly their labels. Intervals resample texts, for the labels of one are not independent.

Trade: answers to all texts are kept until the end, some thirty bytes for each pair of text and label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.calibration import CalibrationBins
from penjing.evaluate.confusion import ClassFigures
from penjing.evaluate.entities import f1_of, figures_of, share_of
from penjing.evaluate.inputs import Floats, checked_labels
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import Statistic, bootstrap, resample

Truths = npt.NDArray[np.bool_]


class LabelsResult(Frozen):
    """What a multi-label classifier was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels: names of the labels.
        n: texts; given: labels that hold in them, in all.
        metrics: ``micro_f1``, ``macro_f1`` over labels that occur, ``subset_accuracy`` (Wilson),
            ``micro_precision``, ``micro_recall``, ``expected_calibration_error`` over all pairs of text and label
            (without an interval, for such pairs are not independent).
        per_class: figures by label, F1 with its interval.
    """

    kind: Literal["labels"] = "labels"
    labels: tuple[str, ...]
    n: int
    given: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...]

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return "micro_f1", "macro_f1", "subset_accuracy"


class LabelsScore:
    """Scores answers to texts whose labels are known.

    Args:
        labels: names of the columns.
        targets: bool (texts, labels), which hold.

    Raises:
        DataError: no texts, or not as many columns as labels.
    """

    def __init__(self, labels: Sequence[str], targets: Truths) -> None:
        self._labels = checked_labels(tuple(labels), least=1)
        if targets.shape != (len(targets), len(labels)) or not len(targets):
            raise DataError(f"targets of shape {targets.shape}", expected=f"at least one row of {len(labels)}")
        self._true, self._found = targets, np.zeros_like(targets)
        self._bins = CalibrationBins()

    @property
    def found(self) -> Truths:
        """The labels given so far, bool (texts, labels)."""
        return self._found

    def add(self, rows: npt.NDArray[np.int64], shares: Floats, thresholds: Floats) -> None:
        """Count some answers.

        Args:
            rows: which texts.
            shares: float64 (rows, labels), probabilities.
            thresholds: float64 (labels,), from where on a label is given.

        Raises:
            DataError: probabilities that are no numbers.
        """
        if not np.isfinite(shares).all():
            raise DataError("probabilities that are NaN", expected="numbers", do="The model diverged in training.")
        self._found[rows] = shares >= thresholds
        self._bins.add(shares.ravel(), self._true[rows].ravel())

    def result(self, *, seed: int = 0) -> LabelsResult:
        """The figures once every text was added.

        Args:
            seed: of the resampling.
        """
        true, found = self._true, self._found
        sums = outcome(found, true)
        micro = _counted(sums.sum(axis=1))
        calibration = Measurement(value=self._bins.expected_error().value, n=true.size)
        return LabelsResult(
            labels=self._labels,
            n=len(true),
            given=int(true.sum()),
            metrics={
                "micro_f1": bootstrap(micro, f1_of, seed=seed),
                "macro_f1": resample(len(true), macro_f1(sums), seed=seed),
                "subset_accuracy": intervals.share(int((true == found).all(axis=1).sum()), len(true)),
                "micro_precision": bootstrap(micro, lambda s: share_of(s[:, 0], s[:, 1]), seed=seed),
                "micro_recall": bootstrap(micro, lambda s: share_of(s[:, 0], s[:, 2]), seed=seed),
                "expected_calibration_error": calibration,
            },
            per_class=tuple(_figures(label, sums[:, at], seed) for at, label in enumerate(self._labels)),
        )


class LabelsChange(Frozen):
    """How a candidate differs from its baseline on the same texts.

    Attributes:
        n: texts.
        baseline_f1, candidate_f1, f1_difference: micro-F1, paired bootstrap over texts; candidate − baseline.
        agreement: texts given the same labels by both.
        per_class: labels lost and gained where they hold, and answers that differ.
    """

    kind: Literal["labels"] = "labels"
    n: int
    baseline_f1: Measurement
    candidate_f1: Measurement
    f1_difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...]

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"micro_f1": self.f1_difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("Micro-F1 of {baseline}", self.baseline_f1, "share"),
            ComparisonRow("Micro-F1 of {candidate}", self.candidate_f1, "share"),
            ComparisonRow("Difference in micro-F1 (percentage points)", self.f1_difference, "points"),
            ComparisonRow("Agreement (texts given the same labels)", self.agreement, "share"),
        )


def compare_labels(
    baseline: Truths, candidate: Truths, *, targets: Truths, labels: Sequence[str], seed: int = 0
) -> LabelsChange:
    """What is different between two models' answers to the same texts.

    Args:
        baseline: bool (texts, labels), what one gives.
        candidate: the same of the other.
        targets: which hold.
        labels: names of the columns.
        seed: of the resampling.

    Raises:
        DataError: shapes that differ, or no texts.
    """
    if not baseline.shape == candidate.shape == targets.shape == (len(targets), len(labels)) or not len(targets):
        shapes = ", ".join(str(one.shape) for one in (baseline, candidate, targets))
        raise DataError(f"answers of shapes {shapes}", expected=f"equal ones with {len(labels)} columns")
    before, after = (outcome(given, targets).sum(axis=1) for given in (baseline, candidate))
    seen = _counted(np.concatenate([before, after], axis=1))

    def difference(sums: Floats) -> Floats:
        return f1_of(sums[:, 3:]) - f1_of(sums[:, :3])

    return LabelsChange(
        n=len(targets),
        baseline_f1=bootstrap(seen, lambda sums: f1_of(sums[:, :3]), seed=seed),
        candidate_f1=bootstrap(seen, lambda sums: f1_of(sums[:, 3:]), seed=seed),
        f1_difference=bootstrap(seen, difference, seed=seed),
        agreement=intervals.share(int((baseline == candidate).all(axis=1).sum()), len(targets)),
        per_class=tuple(
            ClassChange(
                label=label,
                support=int(targets[:, at].sum()),
                changed=int((baseline[:, at] != candidate[:, at]).sum()),
                lost=int((baseline & ~candidate & targets)[:, at].sum()),
                gained=int((candidate & ~baseline & targets)[:, at].sum()),
            )
            for at, label in enumerate(labels)
        ),
    )


def outcome(found: Truths, true: Truths) -> npt.NDArray[np.bool_]:
    """Of each text and label whether it was rightly given, given, and held: bool (texts, labels, 3)."""
    return np.stack([found & true, found, true], axis=2)


def macro_f1(sums: npt.NDArray[np.bool_]) -> Statistic:
    """The mean F1 of the labels that hold or were given somewhere.

    Args:
        sums: from :func:`outcome`.

    Returns:
        counts (draws, texts), how often each text was drawn → values (draws,).
    """
    wide = sums.reshape(len(sums), -1).astype(np.float64)

    def statistic(counts: Floats) -> Floats:
        by_label = (counts @ wide).reshape(len(counts), -1, 3)
        met = by_label[..., 1] + by_label[..., 2] > 0
        return np.asarray(
            f1_of(by_label.reshape(-1, 3)).reshape(met.shape).sum(axis=1) / np.maximum(met.sum(axis=1), 1)
        )

    return statistic


def _counted(sums: npt.NDArray[np.int64]) -> Counter[tuple[int, ...]]:
    return Counter(map(tuple, sums.tolist()))


def _figures(label: str, sums: npt.NDArray[np.bool_], seed: int) -> ClassFigures:
    figures = figures_of(label, sums.sum(axis=0).tolist())
    if figures.f1 is None:
        return figures
    measured = bootstrap(_counted(sums.astype(np.int64)), f1_of, seed=seed)
    return figures.model_copy(update={"f1_low": measured.low, "f1_high": measured.high})
