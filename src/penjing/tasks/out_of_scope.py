"""Texts out of scope: those that belong to none of a classifier's labels.

They are one more label, learnt from a few examples. As it is rare in training and common in traffic, its logit
gets a bias, settled on a validation split: the one at which texts in scope get their label, and those out of scope
theirs, most often, both kinds counting alike.

Promise: a model that knows scope is an ordinary classifier; whatever serves, exports or makes such a one smaller
serves this. Trade: some texts out of scope must be there to learn from; none are made up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError

Floats = npt.NDArray[np.float64]


def surplus(logits: npt.NDArray[np.float32], at: int) -> Floats:
    """By how much the logit of label ``at`` exceeds the best other one, float64 (texts,)."""
    wide = logits.astype(np.float64)
    others: Floats = np.delete(wide, at, axis=1).max(axis=1)
    return np.asarray(wide[:, at] - others)


def fit_bias(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], at: int) -> float:
    """What to add to the logit of label ``at``.

    The mean of two shares is highest: of texts in scope that get their label, and of texts out of scope that get
    label ``at``. Of biases that are equally good, the middle.

    Args:
        logits: float32 (texts, labels), of a split that was not trained on.
        targets: int64 (texts,).
        at: the label of texts out of scope.

    Raises:
        DataError: the split lacks texts of one kind.
    """
    outside = targets == at
    if outside.all() or not outside.any():
        missing = "in" if outside.all() else "out of"
        raise DataError(
            f"no text of the validation split is {missing} scope",
            expected="texts of both kinds, to settle what separates them",
            do="Add some to data.validation, or leave data.out_of_scope out.",
        )
    excess = surplus(logits, at)
    guess = np.where(np.arange(logits.shape[1]) == at, -np.inf, logits).argmax(axis=1)
    right = excess[~outside & (guess == targets)]
    bounds = np.concatenate([[-np.inf], np.sort(excess), [np.inf]])
    cuts = np.concatenate([[bounds[1] - 1], (bounds[1:-2] + bounds[2:-1]) / 2, [bounds[-2] + 1]])
    kept = np.searchsorted(np.sort(right), cuts, side="left") / (~outside).sum()
    found = 1 - np.searchsorted(np.sort(excess[outside]), cuts, side="left") / outside.sum()
    best = np.flatnonzero(kept + found >= (kept + found).max() - 1e-12)
    return -float(cuts[best[len(best) // 2]])
