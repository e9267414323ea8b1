"""Scores of answers to questions, kept up question by question, and what changed between two models.

Exact match and F1 are the official ones of SQuAD and CMRC 2018; see :mod:`penjing.evaluate.answer_match`.
Intervals resample questions.

Promise: memory depends on the number of different scores alone. An F1 is kept to 6 decimals for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.answer_match import Match, match
from penjing.evaluate.calibration import CalibrationBins, ReliabilityBin
from penjing.evaluate.confusion import ClassFigures, Floats
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import bootstrap

_WHOLE = 1_000_000
_OUTCOMES = ("exact", "overlap", "wrong", "missed", "invented", "rightly none")
_ANSWERABLE, _UNANSWERABLE = "has an answer", "has none"


class AnswerResult(Frozen):
    """What a model that answers questions was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels, per_class: none; all results have them.
        n: questions; answerable: those whose context holds an answer.
        metrics: ``f1`` (bootstrap over questions) and ``exact_match`` (Wilson) over all questions; where some have
            no answer also ``has_answer_f1``, ``has_answer_exact_match`` over those that have one and
            ``no_answer_accuracy`` over the others; ``expected_calibration_error`` of the answers' probabilities.
        outcomes: kind → how many: ``exact``; ``overlap``; ``wrong``: nothing in common; ``missed``: no answer given
            where there is one; ``invented``: one given where there is none; ``rightly none``.
        reliability: the calibration curve.
    """

    kind: Literal["answers"] = "answers"
    labels: tuple[str, ...] = ()
    n: int
    answerable: int
    metrics: dict[str, Measurement]
    outcomes: dict[str, int]
    reliability: tuple[ReliabilityBin, ...]
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report."""
        return tuple(name for name in ("f1", "exact_match", "no_answer_accuracy") if name in self.metrics)


class AnswerScore:
    """Adds up questions."""

    def __init__(self) -> None:
        self._f1: Counter[tuple[int, ...]] = Counter()  # 1, F1 in millionths, whether there is an answer
        self._exact = np.zeros((2, 2), np.int64)  # without and with an answer: all, exact
        self._outcomes = Counter(dict.fromkeys(_OUTCOMES, 0))
        self._bins = CalibrationBins()

    def add(self, answer: str, right: Sequence[str], *, question: str, score: float) -> None:
        """Count a question.

        Args:
            answer: empty says that there is none.
            right: the right answers; empty if there is none.
            question: whose script decides by which rules.
            score: probability that the model gave its answer.
        """
        met, has = match(answer, right, question=question), bool(right)
        self._f1[(1, _millionths(met), int(has))] += 1
        self._exact[int(has)] += 1, met.exact
        self._outcomes[_outcome(answer, met, has=has)] += 1
        self._bins.add(np.array([score]), np.array([met.exact]))

    def result(self, *, seed: int = 0) -> AnswerResult:
        """The figures so far; more questions may follow.

        Raises:
            DataError: nothing was added.
        """
        n, exact = self._exact.sum(axis=0).tolist()
        if n == 0:
            raise DataError("no questions to score", expected="at least one")
        (none, none_exact), (has, has_exact) = self._exact.tolist()
        metrics = {"f1": bootstrap(self._f1, _mean_f1, seed=seed), "exact_match": intervals.share(exact, n)}
        if none and has:
            metrics["has_answer_f1"] = bootstrap(_answerable(self._f1), _mean_f1, seed=seed)
            metrics["has_answer_exact_match"] = intervals.share(has_exact, has)
        if none:
            metrics["no_answer_accuracy"] = intervals.share(none_exact, none)
        metrics["expected_calibration_error"] = self._bins.expected_error(seed=seed)
        return AnswerResult(
            n=n,
            answerable=has,
            metrics=metrics,
            outcomes={name: count for name, count in self._outcomes.items() if count or name in _OUTCOMES[:3]},
            reliability=self._bins.curve(),
        )


class AnswerChange(Frozen):
    """How a candidate differs from its baseline on the same questions.

    Attributes:
        n: questions.
        baseline_f1, candidate_f1, f1_difference: paired bootstrap over questions; candidate − baseline.
        baseline_exact_match, candidate_exact_match: Wilson.
        exact_match_difference: Newcombe's paired interval.
        agreement: questions with the same answer from both.
        per_class: exact answers lost and gained, by whether there is an answer.
    """

    kind: Literal["answers"] = "answers"
    n: int
    baseline_f1: Measurement
    candidate_f1: Measurement
    f1_difference: Measurement
    baseline_exact_match: Measurement
    candidate_exact_match: Measurement
    exact_match_difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...]

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {"f1": self.f1_difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("F1 of {baseline}", self.baseline_f1, "share"),
            ComparisonRow("F1 of {candidate}", self.candidate_f1, "share"),
            ComparisonRow("Difference in F1 (percentage points)", self.f1_difference, "points"),
            ComparisonRow("Exact match of {baseline}", self.baseline_exact_match, "share"),
            ComparisonRow("Exact match of {candidate}", self.candidate_exact_match, "share"),
            ComparisonRow("Difference in exact match (percentage points)", self.exact_match_difference, "points"),
            ComparisonRow("Agreement (same answer)", self.agreement, "share"),
        )


class AnswerComparison:
    """Adds up two models' answers to the same questions."""

    def __init__(self) -> None:
        self._f1: Counter[tuple[int, ...]] = Counter()  # baseline's and candidate's F1 in millionths, 1
        self._counts = np.zeros((2, 2, 2, 2), np.int64)  # has an answer; baseline, candidate exact; answers differ

    def add(self, baseline: str, candidate: str, right: Sequence[str], *, question: str, same: bool) -> None:
        """Count a question.

        Args:
            baseline: its answer; empty says that there is none.
            candidate: the same.
            right: as :meth:`AnswerScore.add`.
            question: the same.
            same: whether both answers stand in the same place.
        """
        before, after = (match(answer, right, question=question) for answer in (baseline, candidate))
        self._f1[(_millionths(before), _millionths(after), 1)] += 1
        self._counts[int(bool(right)), int(before.exact), int(after.exact), int(not same)] += 1

    def result(self, *, seed: int = 0) -> AnswerChange:
        """The comparison so far.

        Raises:
            DataError: nothing was added.
        """
        n = int(self._counts.sum())
        if n == 0:
            raise DataError("no questions to compare", expected="at least one")
        (neither, gained), (lost, both) = self._counts.sum(axis=(0, 3)).tolist()
        low, high = intervals.newcombe_paired(both, neither, only_first=lost, only_second=gained)
        return AnswerChange(
            n=n,
            baseline_f1=bootstrap(self._f1, lambda sums: sums[:, 0] / sums[:, 2] / _WHOLE, seed=seed),
            candidate_f1=bootstrap(self._f1, lambda sums: sums[:, 1] / sums[:, 2] / _WHOLE, seed=seed),
            f1_difference=bootstrap(self._f1, lambda sums: (sums[:, 1] - sums[:, 0]) / sums[:, 2] / _WHOLE, seed=seed),
            baseline_exact_match=intervals.share(both + lost, n),
            candidate_exact_match=intervals.share(both + gained, n),
            exact_match_difference=Measurement(value=(gained - lost) / n, low=low, high=high, n=n),
            agreement=intervals.share(n - int(self._counts[..., 1].sum()), n),
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
            for label, counts in zip((_UNANSWERABLE, _ANSWERABLE), self._counts, strict=True)
            if counts.sum()
        )


def _millionths(met: Match) -> int:
    return round(met.f1 * _WHOLE)


def _answerable(seen: Counter[tuple[int, ...]]) -> Counter[tuple[int, ...]]:
    return Counter({kind: often for kind, often in seen.items() if kind[2]})


def _mean_f1(sums: Floats) -> Floats:
    return np.asarray(sums[:, 1] / sums[:, 0] / _WHOLE)


def _outcome(answer: str, met: Match, *, has: bool) -> str:
    if not has:
        return "invented" if answer else "rightly none"
    if not answer:
        return "missed"
    return "exact" if met.exact else "overlap" if met.f1 else "wrong"
