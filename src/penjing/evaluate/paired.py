"""Two models on the same examples: what changed, and how sure we are of it.

Comparing on the same examples is far sharper than comparing two accuracies: the examples on which
both models do the same cancel out. "Baseline" is the model one has, "candidate" the one proposed;
differences are candidate − baseline.

Promise: memory depends on the number of classes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.inputs import Ints, checked_classes, checked_labels, checked_logits


class ComparisonRow(NamedTuple):
    """A line of a comparison's table; ``{baseline}`` and ``{candidate}`` in its name stand for the two sides."""

    name: str
    measured: Measurement
    unit: Literal["share", "points", "number"]


class ClassChange(Frozen):
    """What the candidate changed among the examples whose target is ``label``.

    Attributes:
        support: examples of the class.
        changed: predictions that differ, right or wrong.
        lost: right before, wrong now.
        gained: wrong before, right now.
    """

    label: str
    support: int
    changed: int
    lost: int
    gained: int


class PairedResult(Frozen):
    """How a candidate differs from its baseline. Plain data; reloads from its own JSON.

    Attributes:
        both_right, only_baseline_right, only_candidate_right, both_wrong: the four outcomes; they sum to n.
        baseline_accuracy, candidate_accuracy: with Wilson intervals.
        accuracy_difference: candidate − baseline, with Newcombe's paired interval.
        agreement: share of examples given the same class, with its Wilson interval.
        mcnemar_p: exact p of "no difference in accuracy".
        max_logit_difference: the largest |candidate − baseline| of any logit; None if predictions alone were added.
        per_class: in the labels' order.
    """

    kind: Literal["classes"] = "classes"
    n: int
    both_right: int
    only_baseline_right: int
    only_candidate_right: int
    both_wrong: int
    baseline_accuracy: Measurement
    candidate_accuracy: Measurement
    accuracy_difference: Measurement
    agreement: Measurement
    mcnemar_p: float
    max_logit_difference: float | None
    per_class: tuple[ClassChange, ...]

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"accuracy": self.accuracy_difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("Accuracy of {baseline}", self.baseline_accuracy, "share"),
            ComparisonRow("Accuracy of {candidate}", self.candidate_accuracy, "share"),
            ComparisonRow("Difference in accuracy (percentage points)", self.accuracy_difference, "points"),
            ComparisonRow("Agreement (same class)", self.agreement, "share"),
        )


class PairedComparison:
    """Adds up batches of two models' answers to the same examples.

    Args:
        labels: names of the classes, in the order of the logits' columns.

    Raises:
        DataError: fewer than two labels, or one twice.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = checked_labels(tuple(labels))
        # By target: baseline right or not, candidate right or not, prediction changed or not.
        self._counts: Ints = np.zeros((len(labels), 2, 2, 2), dtype=np.int64)
        self._max_logit_difference: float | None = None

    def add(self, baseline: npt.ArrayLike, candidate: npt.ArrayLike, *, targets: npt.ArrayLike) -> None:
        """Count a batch of logits. A batch that is refused leaves the comparison as it was.

        Args:
            baseline: float32 (n, classes).
            candidate: float32 (n, classes), rows of the same examples in the same order.
            targets: int (n,), class numbers.

        Raises:
            DataError: shapes do not match, logits are not finite, or a target names no class.
        """
        before = checked_logits(baseline, len(self._labels), name="baseline logits")
        after = checked_logits(candidate, len(self._labels), name="candidate logits")
        if len(before) != len(after):
            raise DataError(
                f"{len(before)} rows of baseline logits and {len(after)} of candidate logits",
                expected="both models' answers to the same examples",
            )
        self.add_predictions(before.argmax(axis=1), after.argmax(axis=1), targets=targets)
        if len(before):
            largest = float(np.abs(after - before).max())
            self._max_logit_difference = max(largest, self._max_logit_difference or 0.0)

    def add_predictions(self, baseline: npt.ArrayLike, candidate: npt.ArrayLike, *, targets: npt.ArrayLike) -> None:
        """Count a batch of predicted classes, for models that give no logits.

        Args:
            baseline: int (n,), class numbers.
            candidate: int (n,), of the same examples in the same order.
            targets: int (n,).

        Raises:
            DataError: lengths differ, or a number names no class.
        """
        rows, classes = np.shape(targets)[0] if np.ndim(targets) else 0, len(self._labels)
        truth = checked_classes(targets, rows, classes)
        before = checked_classes(baseline, rows, classes, name="baseline predictions")
        after = checked_classes(candidate, rows, classes, name="candidate predictions")
        place = (truth, np.int64(before == truth), np.int64(after == truth), np.int64(before != after))
        np.add.at(self._counts, place, 1)

    def result(self) -> PairedResult:
        """The comparison so far; more batches may follow.

        Raises:
            DataError: nothing was added.
        """
        n = int(self._counts.sum())
        if n == 0:
            raise DataError("no examples to compare", expected="at least one")
        (neither, gained), (lost, both) = self._counts.sum(axis=(0, 3)).tolist()
        low, high = intervals.newcombe_paired(both, neither, only_first=lost, only_second=gained)
        return PairedResult(
            n=n,
            both_right=both,
            only_baseline_right=lost,
            only_candidate_right=gained,
            both_wrong=neither,
            baseline_accuracy=intervals.share(both + lost, n),
            candidate_accuracy=intervals.share(both + gained, n),
            accuracy_difference=Measurement(value=(gained - lost) / n, low=low, high=high, n=n),
            agreement=intervals.share(n - int(self._counts[..., 1].sum()), n),
            mcnemar_p=intervals.mcnemar_p(lost, gained),
            max_logit_difference=self._max_logit_difference,
            per_class=self._per_class(),
        )

    def _per_class(self) -> tuple[ClassChange, ...]:
        return tuple(
            ClassChange(
                label=label,
                support=int(counts.sum()),
                changed=int(counts[..., 1].sum()),
                lost=int(counts[1, 0].sum()),
                gained=int(counts[0, 1].sum()),
            )
            for label, counts in zip(self._labels, self._counts, strict=True)
        )
