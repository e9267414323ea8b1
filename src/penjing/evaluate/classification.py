"""Scores of a classifier, kept up batch by batch.

Promise: memory depends on the number of classes alone (C² counts, 15 bins, four sums), never on the
number of examples; any way of cutting the examples into batches gives the same result, to rounding.
Trade: what needs all logits at once (ranking metrics, AUC) is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.calibration import CalibrationBins, ReliabilityBin
from penjing.evaluate.confusion import ClassFigures, ConfusedPair, class_figures, macro_f1, most_confused
from penjing.evaluate.inputs import Floats, Ints, checked_classes, checked_labels, checked_logits


class ClassificationResult(Frozen):
    """What a classifier was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels: class names in the order of the logits.
        n: examples.
        ties: examples whose highest logit is shared by several classes; they count for the first of
            these. Many ties mean a collapsed model.
        metrics: ``accuracy`` (Wilson), ``macro_f1`` (bootstrap), ``expected_calibration_error``,
            ``nll`` (mean −log p of the target, nats), ``brier`` (mean Σ(p−y)², 0..2, over all classes).
        per_class: figures by class, in the labels' order.
        confusion: counts, row = target, column = prediction.
        confused: the pairs confused most, largest first.
        reliability: the calibration curve.
    """

    kind: Literal["classes"] = "classes"
    labels: tuple[str, ...]
    n: int
    ties: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    confused: tuple[ConfusedPair, ...]
    reliability: tuple[ReliabilityBin, ...]

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return "accuracy", "macro_f1", "expected_calibration_error"


class ClassificationScore:
    """Adds up batches of logits and targets.

    Args:
        labels: names of the classes, in the order of the logits' columns.

    Raises:
        DataError: fewer than two labels, or one twice.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = checked_labels(tuple(labels))
        self._confusion: Ints = np.zeros((len(labels), len(labels)), dtype=np.int64)
        self._bins = CalibrationBins()
        self._sums = np.zeros(4)  # Σ nll, Σ nll², Σ brier, Σ brier²
        self._ties = 0

    def add(self, logits: npt.ArrayLike, targets: npt.ArrayLike) -> None:
        """Count a batch. A batch that is refused leaves the score as it was.

        Args:
            logits: float32 (n, classes), unnormalised; n may be 0.
            targets: int (n,), class numbers.

        Raises:
            DataError: shapes do not match, logits are not finite, or a target names no class.
        """
        values = checked_logits(logits, len(self._labels))
        truth = checked_classes(targets, len(values), len(self._labels))
        if not len(truth):
            return
        below_top = values - values.max(axis=1, keepdims=True)
        guess = below_top.argmax(axis=1)
        chances = np.exp(below_top)
        total = chances.sum(axis=1)
        chances /= total[:, None]
        nll = np.log(total) - below_top[np.arange(len(truth)), truth]
        brier = (chances**2).sum(axis=1) - 2 * chances[np.arange(len(truth)), truth] + 1
        np.add.at(self._confusion, (truth, guess), 1)
        self._bins.add(1 / total, guess == truth)
        self._sums += _moments(nll, brier)
        self._ties += int(((below_top == 0).sum(axis=1) > 1).sum())

    def result(self, *, seed: int = 0) -> ClassificationResult:
        """The figures so far; more batches may follow.

        Args:
            seed: of the resampling behind the intervals of macro-F1 and calibration error.

        Raises:
            DataError: nothing was added.
        """
        confusion, labels = self._confusion, self._labels
        n = int(confusion.sum())
        if n == 0:
            raise DataError(
                "no examples to score", expected="at least one", do="Check that the split to evaluate on is not empty."
            )
        return ClassificationResult(
            labels=labels,
            n=n,
            ties=self._ties,
            metrics=self._metrics(n, seed),
            per_class=class_figures(confusion, labels),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            confused=most_confused(confusion, labels),
            reliability=self._bins.curve(),
        )

    def _metrics(self, n: int, seed: int) -> dict[str, Measurement]:
        nll, nll_squares, brier, brier_squares = (float(value) for value in self._sums)
        return {
            "accuracy": intervals.share(int(np.trace(self._confusion)), n),
            "macro_f1": macro_f1(self._confusion, seed=seed),
            "expected_calibration_error": self._bins.expected_error(seed=seed),
            "nll": intervals.mean(nll, nll_squares, n, unit="nats"),
            "brier": intervals.mean(brier, brier_squares, n),
        }


def _moments(nll: Floats, brier: Floats) -> Floats:
    return np.array([nll.sum(), (nll**2).sum(), brier.sum(), (brier**2).sum()])
