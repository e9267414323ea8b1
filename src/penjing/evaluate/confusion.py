"""What a confusion matrix says: figures of each class, macro-F1 with its interval, confused pairs.

Promise: everything here is computed from the counts alone, so memory does not grow with the data.

A class that is neither a target nor a prediction has no F1 and takes no part in the mean (as in
scikit-learn when it is given no list of labels). A class that is one of the two but never hit has F1 0.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from penjing.core.nouns import Frozen, Measurement
from penjing.evaluate.intervals import Z95, wilson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 2000
_CELLS_AT_ONCE = 1 << 21  # 16 MiB of counts


class ClassFigures(Frozen):
    """How one class fares.

    Attributes:
        support: examples whose target is this class.
        predicted: examples that were given this class.
        precision: None where it was never predicted; recall: None without support; f1: None without either.
        f1_low, f1_high: bounds of its 95 % interval; None where none was computed.
    """

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_low: float | None = None
    f1_high: float | None = None


class ConfusedPair(Frozen):
    """Examples of ``target`` that were called ``prediction``; ``share`` is of the target's examples."""

    target: str
    prediction: str
    count: int
    share: float


def class_figures(confusion: Ints, labels: tuple[str, ...]) -> tuple[ClassFigures, ...]:
    """Precision, recall, F1 and support by class; ``confusion`` is (target, prediction)."""
    rows = zip(labels, np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
    return tuple(
        ClassFigures(
            label=label,
            support=int(support),
            predicted=int(predicted),
            precision=_ratio(hits, predicted),
            recall=_ratio(hits, support),
            f1=_ratio(2 * hits, support + predicted),
        )
        for label, hits, support, predicted in rows
    )


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def most_confused(confusion: Ints, labels: tuple[str, ...], *, limit: int = 10) -> tuple[ConfusedPair, ...]:
    """The off-diagonal cells with most examples, largest first; ties in the labels' order."""
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = [(int(cell) // len(labels), int(cell) % len(labels)) for cell in order]
    return tuple(
        ConfusedPair(
            target=labels[target],
            prediction=labels[prediction],
            count=int(errors[target, prediction]),
            share=float(errors[target, prediction] / confusion[target].sum()),
        )
        for target, prediction in pairs
        if errors[target, prediction]
    )


def macro_f1(confusion: Ints, *, seed: int = 0) -> Measurement:
    """The mean F1 of the classes that occur, with a bias-corrected bootstrap interval.

    Resampling examples with replacement is resampling the matrix as a multinomial. The plain
    percentile interval covers only 88 to 92 % with many classes, because F1 of resamples is biased
    downwards; the correction brings it to 93 to 96 %. Where every example is right, or every one
    wrong, resampling shows no spread at all, and the Wilson interval of the accuracy stands in.

    Args:
        confusion: int64 (classes, classes), (target, prediction), at least one example.
        seed: of the resampling.

    Source: Efron 1987, "Better bootstrap confidence intervals", JASA 82:171 (the BC method).
    """
    n = int(confusion.sum())
    value = float(_mean_f1(np.diag(confusion)[None], (confusion.sum(axis=0) + confusion.sum(axis=1))[None])[0])
    hits = int(np.trace(confusion))
    if hits in (0, n):
        low, high = wilson(hits, n)
        return Measurement(value=value, low=low, high=high, n=n)
    resampled = _resampled(confusion, np.random.default_rng(seed))
    below = (np.sum(resampled < value) + 0.5 * np.sum(resampled == value)) / DRAWS
    normal = NormalDist()
    shift = 2 * normal.inv_cdf(float(np.clip(below, 1 / DRAWS, 1 - 1 / DRAWS)))
    low, high = np.quantile(resampled, [normal.cdf(shift - Z95), normal.cdf(shift + Z95)]).tolist()
    return Measurement(value=value, low=min(low, value), high=max(high, value), n=n)


def _resampled(confusion: Ints, random: np.random.Generator) -> Floats:
    """Macro-F1 of DRAWS resamples; only cells that hold examples are drawn, some draws at a time."""
    n, classes = int(confusion.sum()), len(confusion)
    target, prediction = np.nonzero(confusion)
    shares = confusion[target, prediction] / n
    in_margin = np.zeros((len(shares), classes))
    np.add.at(in_margin, (np.arange(len(shares)), target), 1)
    np.add.at(in_margin, (np.arange(len(shares)), prediction), 1)
    on_diagonal = np.flatnonzero(target == prediction)
    parts = []
    batch = max(1, _CELLS_AT_ONCE // len(shares))
    for start in range(0, DRAWS, batch):
        counts = random.multinomial(n, shares, size=min(batch, DRAWS - start)).astype(np.float64)
        hits = np.zeros((len(counts), classes))
        hits[:, target[on_diagonal]] = counts[:, on_diagonal]
        parts.append(_mean_f1(hits, counts @ in_margin))
    return np.concatenate(parts)


def _mean_f1(hits: npt.NDArray[np.generic], margins: npt.NDArray[np.generic]) -> Floats:
    """Mean over classes of 2·hits / (support + predicted); arrays are (draws, classes)."""
    whole = np.asarray(margins, dtype=np.float64)
    f1 = 2 * np.asarray(hits, dtype=np.float64) / np.where(whole > 0, whole, 1)
    return np.asarray(f1.sum(axis=1) / (whole > 0).sum(axis=1))
