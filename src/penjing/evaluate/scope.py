"""How well a classifier tells texts out of scope from those in scope, kept up batch by batch.

Promise: one float a text is kept, no logits. The area is exact, with ties counted half; its interval is DeLong's.
Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Measurement
from penjing.evaluate.intervals import Z95, share

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class ScopeScore:
    """Adds up batches."""

    def __init__(self) -> None:
        self._outside: list[Floats] = []
        self._inside: list[Floats] = []
        self._right = 0

    def add(self, surplus: Floats, outside: Bools, right: Bools) -> None:
        """Count a batch.

        Args:
            surplus: float64 (texts,), how much sooner each is called out of scope than in; above 0 it is.
            outside: bool (texts,), whether it truly is.
            right: bool (texts,), whether it got its own label.
        """
        self._outside.append(surplus[outside])
        self._inside.append(surplus[~outside])
        self._right += int((right & ~outside).sum())

    def metrics(self) -> dict[str, Measurement]:
        """Figures over all batches; empty where they held texts of one kind only.

        Returns:
            ``in_scope_accuracy`` (texts in scope that got their label, Wilson), ``out_of_scope_recall`` and
            ``out_of_scope_precision`` (Wilson), ``out_of_scope_auroc`` (DeLong).
        """
        outside, inside = (np.concatenate(parts or [np.zeros(0)]) for parts in (self._outside, self._inside))
        if not len(outside) or not len(inside):
            return {}
        found, called = int((outside > 0).sum()), int((outside > 0).sum() + (inside > 0).sum())
        figures = {
            "in_scope_accuracy": share(self._right, len(inside)),
            "out_of_scope_recall": share(found, len(outside)),
            "out_of_scope_auroc": area(outside, inside),
        }
        return figures | ({"out_of_scope_precision": share(found, called)} if called else {})


def area(positive: Floats, negative: Floats) -> Measurement:
    """Area under the ROC curve: the chance that a positive scores higher than a negative.

    Args:
        positive: float64 scores, at least one, in any order.
        negative: the same.
    """
    of_positive, of_negative = _below(positive, negative), 1 - _below(negative, positive)
    value, n = float(of_positive.mean()), len(positive) + len(negative)
    if len(positive) < 2 or len(negative) < 2:
        return Measurement(value=value, n=n)
    spread = math.sqrt(of_positive.var(ddof=1) / len(positive) + of_negative.var(ddof=1) / len(negative))
    return Measurement(value=value, low=max(0.0, value - Z95 * spread), high=min(1.0, value + Z95 * spread), n=n)


def _below(scores: Floats, others: Floats) -> Floats:
    """Of each score, the share of others below it; equal ones count half."""
    ordered = np.sort(others)
    counts = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(counts / (2 * len(others)))
