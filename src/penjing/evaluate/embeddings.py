"""Scores of embeddings on pairs of texts, and what changed between two models.

Pairs with scores: how well the cosines order them (Spearman's ρ). Pairs without: how often the second
text of a pair is the one nearest to the first among all second texts of the split (recall at 1), and
how far up it stands (mean reciprocal rank); another right answer to the same text is no rival, and of
equals the wrong one counts as nearer. Of texts alone nothing can be said but how alike two models see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.confusion import ClassFigures, Floats
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import Statistic, resample
from penjing.evaluate.spearman import spearman

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_ROWS_AT_ONCE = 512
COSINE = "cosine"


class EmbeddingResult(Frozen):
    """What an embedding model was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        n: pairs, or texts.
        metrics: ``spearman`` for pairs with scores; ``mrr`` and ``recall_at_1`` for pairs without; none for texts.
    """

    kind: Literal["embeddings"] = "embeddings"
    labels: tuple[str, ...] = ()
    n: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return tuple(self.metrics)


class EmbeddingChange(Frozen):
    """How a candidate's embeddings differ from its baseline's on the same texts.

    Attributes:
        n: pairs, or texts.
        metric: what is compared: ``spearman`` or ``mrr``; of texts alone, ``cosine`` to the baseline's own vectors.
        baseline, candidate, difference: of the metric, resampled together; candidate − baseline.
        agreement: mean cosine between the two vectors of a text.
    """

    kind: Literal["embeddings"] = "embeddings"
    n: int
    metric: str
    baseline: Measurement
    candidate: Measurement
    difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...] = ()

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {self.metric: self.difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        alike = ComparisonRow("Agreement (mean cosine of the two vectors of a text)", self.agreement, "share")
        if self.metric == COSINE:
            return (alike,)
        name = {"spearman": "Spearman's ρ", "mrr": "Mean reciprocal rank"}[self.metric]
        return (
            ComparisonRow(f"{name} of {{baseline}}", self.baseline, "number"),
            ComparisonRow(f"{name} of {{candidate}}", self.candidate, "number"),
            ComparisonRow(f"Difference in {name}", self.difference, "number"),
            alike,
        )


class PairScorer:
    """Scores vectors of one set of texts.

    Args:
        targets: float64 (texts, 2), the score of each text's pair, NaN where it has none, and its number;
            equal texts have one number.
        paired: whether the texts are pairs, one text after another.
    """

    def __init__(self, targets: Floats, *, paired: bool) -> None:
        self._paired = paired
        self._numbers = targets[:, 1].astype(np.int64)
        scores = targets[::2, 0] if paired else np.zeros(0)
        self._scores = scores if len(scores) and not np.isnan(scores).any() else None
        self.n = len(targets) // 2 if paired else len(targets)

    def result(self, vectors: Vectors, *, seed: int = 0) -> EmbeddingResult:
        """The figures.

        Args:
            vectors: float32 (texts, size), of any length.
            seed: of the resampling.

        Raises:
            DataError: no texts, not as many vectors, or not all finite.
        """
        self._check(vectors)
        if not self._paired:
            return EmbeddingResult(n=self.n, metrics={})
        if self._scores is not None:
            return EmbeddingResult(n=self.n, metrics={"spearman": resample(self.n, self._spearman(vectors), seed=seed)})
        ranks = ranks_of(vectors, self._numbers)
        mrr = resample(self.n, _mean_of(1 / ranks), seed=seed)
        return EmbeddingResult(
            n=self.n, metrics={"mrr": mrr, "recall_at_1": intervals.share(int((ranks == 1).sum()), self.n)}
        )

    def change(self, baseline: Vectors, candidate: Vectors, *, seed: int = 0) -> EmbeddingChange:
        """What is different between two models' vectors of the same texts.

        Raises:
            DataError: as :meth:`result`.
        """
        self._check(baseline)
        self._check(candidate)
        alike = (unit(baseline) * unit(candidate)).sum(axis=1)
        agreement = resample(len(alike), _mean_of(alike), seed=seed)
        metric, before, after = self._compared(baseline, candidate, alike)
        return EmbeddingChange(
            n=self.n,
            metric=metric,
            baseline=resample(self.n, before, seed=seed),
            candidate=resample(self.n, after, seed=seed),
            difference=resample(self.n, lambda counts: after(counts) - before(counts), seed=seed),
            agreement=agreement,
        )

    def _compared(self, baseline: Vectors, candidate: Vectors, alike: Floats) -> tuple[str, Statistic, Statistic]:
        if not self._paired:
            return COSINE, _mean_of(np.ones(len(alike))), _mean_of(alike)
        if self._scores is not None:
            return "spearman", self._spearman(baseline), self._spearman(candidate)
        before, after = (_mean_of(1 / ranks_of(vectors, self._numbers)) for vectors in (baseline, candidate))
        return "mrr", before, after

    def _spearman(self, vectors: Vectors) -> Statistic:
        one = unit(vectors)
        return spearman((one[::2] * one[1::2]).sum(axis=1), np.asarray(self._scores))

    def _check(self, vectors: Vectors) -> None:
        if vectors.ndim != 2 or len(vectors) != len(self._numbers) or not len(vectors):
            raise DataError(f"vectors of shape {vectors.shape}", expected=f"one for each of {len(self._numbers)} texts")
        if not np.isfinite(vectors).all():
            raise DataError("vectors with NaN or infinite values", expected="finite numbers")


def unit(vectors: Vectors) -> Floats:
    """Vectors of length one, float64; one of zeros stays."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(lengths > 0, lengths, 1.0))


def ranks_of(vectors: Vectors, numbers: Ints) -> Ints:
    """Of each pair, the place of its second text among all second texts, by nearness to the first; from 1.

    Args:
        vectors: (texts, size), pairs one after another.
        numbers: (texts,), one a different text.
    """
    one = unit(vectors)
    first, first_numbers = one[::2], numbers[::2]
    kinds, at, place = np.unique(numbers[1::2], return_index=True, return_inverse=True)
    candidates = one[1::2][at]
    ranks = np.zeros(len(first), np.int64)
    for rows in _blocks(len(first)):
        cosines = first[rows] @ candidates.T
        own = cosines[np.arange(len(rows)), place[rows]]
        asked, answers = np.nonzero(first_numbers[rows, None] == first_numbers)
        cosines[asked, place[answers]] = -np.inf  # its own answer, and other right ones
        cosines[first_numbers[rows, None] == kinds] = -np.inf  # a copy of itself
        ranks[rows] = 1 + (cosines >= own[:, None]).sum(axis=1)
    return ranks


def _blocks(count: int) -> Iterator[Ints]:
    for start in range(0, count, _ROWS_AT_ONCE):
        yield np.arange(start, min(count, start + _ROWS_AT_ONCE))


def _mean_of(values: Floats) -> Statistic:
    return lambda counts: np.asarray(counts @ values / counts.sum(axis=1))
