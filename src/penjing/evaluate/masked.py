"""How well a masked language model guesses, and what changed between two models.

Perplexity is exp of the mean of −log p over all masked tokens; accuracy is the share of them whose likeliest
token is the right one. Intervals resample texts, for the tokens of one are not independent.

Promise: memory is a few numbers a masked token, never a row of the vocabulary's width.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate.confusion import ClassFigures, Floats
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import Statistic, resample

Ints = npt.NDArray[np.int64]
_MOST = 700.0  # the largest whole number whose exp is finite


class MaskedResult(Frozen):
    """What a masked language model was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels, per_class: none; all results have them.
        n: texts.
        tokens: masked ones.
        metrics: ``masked_accuracy`` and ``perplexity``.
    """

    kind: Literal["masked"] = "masked"
    labels: tuple[str, ...] = ()
    n: int
    tokens: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report, the one that gates go by first."""
        return tuple(self.metrics)


class MaskedChange(Frozen):
    """How a candidate differs from its baseline on the same masks.

    Attributes:
        n: texts.
        baseline, candidate: accuracies; difference: candidate − baseline, resampled together.
        baseline_perplexity, candidate_perplexity: the same texts resampled.
        agreement: share of the masks at which both find the same token likeliest.
    """

    kind: Literal["masked"] = "masked"
    n: int
    baseline: Measurement
    candidate: Measurement
    difference: Measurement
    baseline_perplexity: Measurement
    candidate_perplexity: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...] = ()

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"masked_accuracy": self.difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("Accuracy of {baseline}", self.baseline, "share"),
            ComparisonRow("Accuracy of {candidate}", self.candidate, "share"),
            ComparisonRow("Difference in accuracy (percentage points)", self.difference, "points"),
            ComparisonRow("Perplexity of {baseline}", self.baseline_perplexity, "number"),
            ComparisonRow("Perplexity of {candidate}", self.candidate_perplexity, "number"),
            ComparisonRow("Agreement (same token)", self.agreement, "share"),
        )


class MaskedScorer:
    """Scores guesses at one set of masks.

    Args:
        right: int64 (masks,), the tokens that stood there.
        text: int64 (masks,), the number of the text of each.

    Raises:
        DataError: no masks.
    """

    def __init__(self, right: Ints, text: Ints) -> None:
        if not len(right):
            raise DataError("no masks to score", expected="at least one text with a token to mask")
        self._right = right
        numbers, self._text = np.unique(text, return_inverse=True)
        self.n = len(numbers)
        self._counts = self._by_text(np.ones(len(right)))

    def result(self, guesses: Ints, losses: Floats, *, seed: int = 0) -> MaskedResult:
        """The figures.

        Args:
            guesses: int64 (masks,), the likeliest token at each.
            losses: (masks,), −log p of the right one.
            seed: of the resampling.
        """
        accuracy = self._mean(self._hits(guesses), seed)
        return MaskedResult(
            n=self.n,
            tokens=len(self._right),
            metrics={"masked_accuracy": accuracy, "perplexity": self._perplexity(losses, seed)},
        )

    def change(self, baseline: tuple[Ints, Floats], candidate: tuple[Ints, Floats], *, seed: int = 0) -> MaskedChange:
        """What is different between two models, given the guesses and losses of each."""
        before, after = self._hits(baseline[0]), self._hits(candidate[0])
        return MaskedChange(
            n=self.n,
            baseline=self._mean(before, seed),
            candidate=self._mean(after, seed),
            difference=self._mean(after - before, seed),
            baseline_perplexity=self._perplexity(baseline[1], seed),
            candidate_perplexity=self._perplexity(candidate[1], seed),
            agreement=self._mean((baseline[0] == candidate[0]).astype(np.float64), seed),
        )

    def _hits(self, guesses: Ints) -> Floats:
        if guesses.shape != self._right.shape:
            raise DataError(f"{len(guesses)} guesses at {len(self._right)} masks", expected="one each")
        return np.asarray(guesses == self._right, np.float64)

    def _mean(self, values: Floats, seed: int) -> Measurement:
        return resample(self.n, _ratio(self._by_text(values), self._counts), seed=seed)

    def _perplexity(self, losses: Floats, seed: int) -> Measurement:
        if not np.isfinite(losses).all():
            raise DataError("losses with NaN or infinite values", expected="finite numbers")
        mean = _ratio(self._by_text(losses), self._counts)
        return resample(self.n, lambda drawn: np.exp(np.minimum(mean(drawn), _MOST)), seed=seed)

    def _by_text(self, values: Floats) -> Floats:
        return np.bincount(self._text, values, self.n).astype(np.float64)


def _ratio(sums: Floats, counts: Floats) -> Statistic:
    return lambda drawn: np.asarray((drawn @ sums) / (drawn @ counts))
