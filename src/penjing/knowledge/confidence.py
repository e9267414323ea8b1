"""How sure an answer is: what the reader says of a span and what the search says of its passage, in one probability.

z = w · (span over no answer, cosine, share of the best BM25, 1 / rank, relevance, 1)   of each possible answer
confidence = σ(a · z + b · (lead over the next other answer) + c)                       of the best one

Both lines are logistic regressions on questions that nothing was trained on, some of which the base cannot answer.
Where a base was not calibrated, the figures are those found on SQuAD (docs/decisions/0014), and replies say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FEATURES = ("span", "cosine", "bm25", "rank", "relevance", "bias")
_STEPS, _RIDGE = 60, 1e-2
_LEAD = 8.0  # where there is no other answer


@dataclass(frozen=True, slots=True)
class Calibration:
    """The figures of the module's two lines.

    Attributes:
        weights: w, in the order of ``FEATURES``.
        scale, lead, offset: a, b and c.
        match_scale, match_offset: of stored answers: σ(scale · cosine + offset) of their questions.
        threshold: confidence under which nothing is answered.
        of: the models that it was found with; empty for the figures that come along.
    """

    weights: tuple[float, ...] = (0.2, 1.5, 1.5, 2.4, 0.0, -5.56)
    scale: float = 1.57
    lead: float = 1.06
    offset: float = 0.28
    match_scale: float = 16.0
    match_offset: float = -10.4
    threshold: float = 0.3
    of: str = ""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Calibration:
        """As a base keeps it."""
        return cls(**{**kept, "weights": tuple(kept["weights"])})

    @classmethod
    def of_base(cls, kept: Mapping[str, Any] | None, *, of: str) -> Calibration | None:
        """What a base keeps, if it holds for these models."""
        figures = cls.read(kept) if kept else None
        return figures if figures and figures.of == of else None

    def score(self, features: Sequence[float]) -> float:
        """Z of one possible answer."""
        return float(np.dot(self.weights, features))

    def confidence(self, best: float, other: float | None) -> float:
        """Probability that the best answer is right.

        Args:
            best: its z.
            other: z of the best one that says something else; None if there is none.
        """
        lead = _LEAD if other is None else min(best - other, _LEAD)
        return _sigmoid(self.scale * best + self.lead * lead + self.offset)

    def match(self, cosine: float) -> float:
        """Probability that a stored answer, whose question is so near, is right."""
        return _sigmoid(self.match_scale * cosine + self.match_offset)


def calibrated_with(embedder: str | None, reader: str, reranker: str | None) -> str:
    """The models that figures hold for, as :attr:`Calibration.of` has them."""
    return f"{embedder or '-'} {reader or '-'} {reranker or '-'}"


def leads(best: Sequence[float], others: Sequence[float | None]) -> Floats:
    """How far each best answer lies ahead, float64 (n,)."""
    return np.array([_LEAD if other is None else min(z - other, _LEAD) for z, other in zip(best, others, strict=True)])


def logistic(features: Floats, is_right: npt.NDArray[np.bool_], *, ridge: float = _RIDGE) -> Floats:
    """Weights of a logistic regression by Newton's method, float64 (features,).

    Args:
        features: (n, features); the last is all ones and is not held back.
        is_right: (n,).
        ridge: how much weights are held back, each by its feature's spread.
    """
    spread = np.maximum(features.std(axis=0), 1e-9)
    held = ridge * len(features) * spread**2
    held[-1] = 1e-9
    weights = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        told = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (told - is_right) + held * weights
        curve = (features * (told * (1 - told))[:, None]).T @ features + np.diag(held + 1e-9)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -30, 30))))
