"""How well a language model foresees texts, and what changed between two models.

Perplexity is exp of the mean of −log p over all tokens that count; its interval resamples examples (documents,
conversations, completions), for the tokens of one are not independent. Two models are compared by the mean
log p of a token, a figure that falls as models get worse, as a gate wants it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate import intervals
from penjing.evaluate.confusion import ClassFigures, Floats
from penjing.evaluate.paired import ClassChange, ComparisonRow
from penjing.evaluate.resampling import Statistic, resample

LOG_LIKELIHOOD, PERPLEXITY = "log_likelihood", "perplexity"


class PerplexityResult(Frozen):
    """What a language model was measured to do. Plain data; reloads from its own JSON.

    Attributes:
        labels, per_class: none; all results have them.
        n: examples.
        tokens: that count.
        metrics: ``log_likelihood``, mean log p of a token; ``perplexity``; ``exact_match`` where answers were
            compared with completions.
    """

    kind: Literal["perplexity"] = "perplexity"
    labels: tuple[str, ...] = ()
    n: int
    tokens: int
    metrics: dict[str, Measurement]
    per_class: tuple[ClassFigures, ...] = ()

    @property
    def headlines(self) -> tuple[str, ...]:
        """The metrics that stand on top of a report, the one that gates go by first."""
        return tuple(name for name in (LOG_LIKELIHOOD, PERPLEXITY, "exact_match") if name in self.metrics)


class PerplexityChange(Frozen):
    """How a candidate differs from its baseline on the same examples.

    Attributes:
        n: examples.
        baseline, candidate: perplexities.
        difference: of the mean log p of a token; candidate − baseline.
        agreement: share of the examples that the two foresee equally well, within a hundredth of log p a token.
    """

    kind: Literal["perplexity"] = "perplexity"
    n: int
    baseline: Measurement
    candidate: Measurement
    difference: Measurement
    agreement: Measurement
    per_class: tuple[ClassChange, ...] = ()

    @property
    def differences(self) -> dict[str, Measurement]:
        """Metric → difference, as a gate takes them."""
        return {LOG_LIKELIHOOD: self.difference}

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """What a table shows."""
        return (
            ComparisonRow("Perplexity of {baseline}", self.baseline, "number"),
            ComparisonRow("Perplexity of {candidate}", self.candidate, "number"),
            ComparisonRow("Difference in log-likelihood a token", self.difference, "number"),
            ComparisonRow("Agreement (examples foreseen alike)", self.agreement, "share"),
        )


def perplexity_of(losses: npt.ArrayLike, tokens: npt.ArrayLike, *, seed: int = 0) -> PerplexityResult:
    """The figures of one model.

    Args:
        losses: (examples,), the sum of −log p over the tokens of each that count.
        tokens: (examples,), how many those are.
        seed: of the resampling.

    Raises:
        DataError: no token counts, or a loss that is no number.
    """
    sums, counts = _checked(losses, tokens)
    likelihood = resample(len(sums), _mean(-sums, counts), seed=seed)
    metrics = {LOG_LIKELIHOOD: likelihood, PERPLEXITY: resample(len(sums), _perplexity(sums, counts), seed=seed)}
    return PerplexityResult(n=len(sums), tokens=int(counts.sum()), metrics=metrics)


def perplexity_change(
    baseline: npt.ArrayLike, candidate: npt.ArrayLike, tokens: npt.ArrayLike, *, seed: int = 0
) -> PerplexityChange:
    """What is different between two models' losses on the same examples. See :func:`perplexity_of`."""
    before, counts = _checked(baseline, tokens)
    after, _ = _checked(candidate, tokens)
    alike = np.abs(after - before) <= 0.01 * counts
    return PerplexityChange(
        n=len(before),
        baseline=resample(len(before), _perplexity(before, counts), seed=seed),
        candidate=resample(len(after), _perplexity(after, counts), seed=seed),
        difference=resample(len(before), _mean(before - after, counts), seed=seed),
        agreement=intervals.share(int(alike.sum()), len(before)),
    )


def _checked(losses: npt.ArrayLike, tokens: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Examples with a token that counts."""
    sums, counts = np.asarray(losses, np.float64), np.asarray(tokens, np.float64)
    if sums.shape != counts.shape or not counts.sum():
        raise DataError(f"{len(sums)} losses of {int(counts.sum())} tokens", expected="a token that counts, at least")
    if not np.isfinite(sums).all():
        raise DataError("losses with NaN or infinite values", expected="finite numbers", do="Run the model in fp32.")
    return sums[counts > 0], counts[counts > 0]


def _mean(sums: Floats, counts: Floats) -> Statistic:
    return lambda drawn: np.asarray((drawn @ sums) / (drawn @ counts))


def _perplexity(sums: Floats, counts: Floats) -> Statistic:
    return lambda drawn: np.exp(np.minimum((drawn @ sums) / (drawn @ counts), 700.0))
