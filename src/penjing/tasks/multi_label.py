"""Text classification with any number of labels a text, none included.

targets    zeros and ones, one a label
loss       binary cross-entropy of each label
decoding   sigmoid of logits over a temperature; the answer is every label whose probability reaches its threshold

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.tasks.text_classification import TEMPERATURE, least_surprising

if TYPE_CHECKING:
    from torch import Tensor

    from penjing.data.multi_label import MultiLabelExample

THRESHOLD = "threshold"  # among a bundle's settings of decoding; with "/" and a label behind it, that label's own
USUAL_THRESHOLD = 0.5
# A label's own threshold is found on its own examples and on all labels' together, which count as so many of its own.
_WEIGHT_OF_ALL = 10.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelsPrediction:
    """An answer.

    Attributes:
        labels: every label that holds, the most probable first; empty where none does.
        scores: their probabilities.
        probabilities: float64 (labels,), of all labels, in the order of the bundle's.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    probabilities: Floats


def targets_of(examples: Sequence[MultiLabelExample], labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """Zeros and ones, float32 (examples, labels).

    Raises:
        DataError: a label outside ``labels``.
    """
    index = {label: i for i, label in enumerate(labels)}
    targets = np.zeros((len(examples), len(labels)), np.float32)
    for row, example in enumerate(examples):
        for label in example.labels:
            if label not in index:
                raise DataError(f"label {label!r}", expected=f"one of {', '.join(labels)}")
            targets[row, index[label]] = 1
    return targets


def loss(logits: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over labels, summed over sequences, as Transformers has it for this problem type.

    Args:
        logits: (sequences, labels).
        targets: zeros and ones, of the same shape.
        lengths: of the sequences; not needed.
    """
    del lengths
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / logits.shape[1]


def probabilities(logits: npt.NDArray[np.float32]) -> Floats:
    """Sigmoid of each logit, float64."""
    wide = logits.astype(np.float64)
    shrunk = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0, 1.0, shrunk) / (1 + shrunk))


def fit_temperature(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32]) -> float:
    """The temperature T > 0 at which sigmoid(logits / T) gives the targets the most probability.

    The same belief as for one label a text (see :func:`penjing.tasks.text_classification.fit_temperature`)
    keeps a few texts from asking for certainty.
    """
    wide, signs = logits.astype(np.float64), 1 - 2 * targets.astype(np.float64)

    def surprise(log_temperature: float) -> float:
        return float(np.logaddexp(0, signs * wide / np.exp(log_temperature)).sum() + log_temperature**2 / 2)

    return least_surprising(surprise)


def fit_thresholds(shares: Floats, targets: npt.NDArray[np.float32], labels: Sequence[str]) -> dict[str, float]:
    """The thresholds at which the answers' F1 is highest: one for all labels, and one for each.

    A label's own is drawn towards that of all by counting all labels' examples as a few more of its own, so that
    a rare label does not take a threshold that fits three texts.

    Args:
        shares: float64 (texts, labels), probabilities on a split that was not trained on.
        targets: zeros and ones, of the same shape.
        labels: names of the columns.

    Returns:
        ``threshold`` and ``threshold/LABEL`` for each label.
    """
    steps = np.linspace(0.02, 0.98, 97)
    found = np.stack([(shares >= step).sum(axis=0) for step in steps]).astype(np.float64)
    right = np.stack([((shares >= step) * targets).sum(axis=0) for step in steps])
    true = targets.sum(axis=0).astype(np.float64)
    share_of_all = _WEIGHT_OF_ALL / max(float(true.sum()), 1.0)
    of_all = [part.sum(axis=-1, keepdims=True) for part in (right, found, true)]
    weighted = [own + share_of_all * whole for own, whole in zip((right, found, true), of_all, strict=True)]
    own = _best(steps, *weighted)
    (every,) = _best(steps, *of_all)
    return {THRESHOLD: every} | {f"{THRESHOLD}/{label}": at for label, at in zip(labels, own, strict=True)}


def _best(steps: Floats, right: Floats, found: Floats, true: Floats) -> list[float]:
    """For each column the threshold of the highest F1, the middle one of equals."""
    f1 = 2 * right / np.maximum(found + true, 1e-9)
    best = f1 >= f1.max(axis=0) - 1e-12
    return [round(float(np.median(steps[column])), 4) for column in best.T]


def thresholds_of(decoding: Mapping[str, float], labels: Sequence[str]) -> Floats:
    """The threshold of each label, float64 (labels,): its own, or that of all, or one half."""
    every = decoding.get(THRESHOLD, USUAL_THRESHOLD)
    return np.array([decoding.get(f"{THRESHOLD}/{label}", every) for label in labels])


def shares_of(logits: npt.NDArray[np.float32], decoding: Mapping[str, float]) -> Floats:
    """Calibrated probabilities (sequences, labels)."""
    return probabilities(logits / decoding.get(TEMPERATURE, 1.0))


def decode(
    logits: npt.NDArray[np.float32], labels: Sequence[str], *, decoding: Mapping[str, float]
) -> list[LabelsPrediction]:
    """Answers for logits (sequences, labels)."""
    shares, thresholds = shares_of(logits, decoding), thresholds_of(decoding, labels)
    answers = []
    for share in shares:
        holding = [at for at in np.argsort(-share, kind="stable").tolist() if share[at] >= thresholds[at]]
        answers.append(
            LabelsPrediction(tuple(labels[at] for at in holding), tuple(float(share[at]) for at in holding), share)
        )
    return answers
