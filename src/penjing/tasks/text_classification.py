"""Text classification: one label for a text or a pair of texts.

What answers with several labels, or with a number, is beside this: :mod:`.multi_label`, :mod:`.regression`.

targets    index of the label in the sorted list of labels
loss       cross-entropy
decoding   softmax of logits over a temperature; the answer is the most probable label. Where one label is of texts
           that are out of scope, a bias that was settled on a validation split is added to its logit first

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.tokens import Text

if TYPE_CHECKING:  # the server uses this file, and has neither
    from torch import Tensor

    from penjing.data.examples import PairExample, TextExample
    from penjing.data.multi_label import MultiLabelExample


TEMPERATURE = "temperature"  # among a bundle's settings of decoding
BIAS = "bias/"  # the same, with a label behind it: what is added to that label's logit
_TEMPERATURES = (0.05, 20.0)
_NARROWINGS = 60


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer.

    Attributes:
        label: the most probable label.
        score: its probability.
        probabilities: float64 (labels,), in the order of the bundle's labels.
    """

    label: str
    score: float
    probabilities: npt.NDArray[np.float64]


def texts_of(examples: Iterable[TextExample | MultiLabelExample | PairExample]) -> list[Text]:
    """What the tokenizer takes: a text, or a pair."""
    return list(each_text(examples))


def each_text(examples: Iterable[TextExample | MultiLabelExample | PairExample]) -> Iterator[Text]:
    """The same, one at a time."""
    return (example.text if example.pair is None else (example.text, example.pair) for example in examples)


def targets_of(examples: Sequence[TextExample], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Label indices, int64 (examples,).

    Raises:
        DataError: a label outside ``labels``, or none.
    """
    index = {label: i for i, label in enumerate(labels)}
    try:
        return np.array([index[example.label] for example in examples], np.int64)  # type: ignore[index]
    except KeyError as error:
        raise DataError(f"label {error.args[0]!r}", expected=f"one of {', '.join(labels)}") from error


def loss(
    logits: Tensor,
    targets: Tensor,
    lengths: Tensor,
    *,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy summed over sequences: Σ −log softmax(logits)[target].

    Args:
        logits: (sequences, labels).
        targets: int64 (sequences,).
        lengths: of the sequences; not needed.
        class_weights: float32 (labels,), what the loss of each target is multiplied by; None is 1.
        label_smoothing: share of each target that is spread over all labels (Szegedy et al., arXiv 1512.00567, §7).
    """
    del lengths
    import torch
    from torch.nn import functional

    weights = None if class_weights is None else torch.from_numpy(class_weights).to(logits)
    return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=label_smoothing, reduction="sum")


def balanced_weights(targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights by which every class counts as much as any other, float32 (classes,): n / (classes · n of the class).

    Their mean over the targets is 1, so a learning rate keeps its meaning.

    Source: King and Zeng, "Logistic regression in rare events data", 2001; scikit-learn's ``balanced``.
    """
    counts = np.bincount(targets)
    return (len(targets) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Softmax along the last axis, float64."""
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
    softmax: npt.NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return softmax


def fit_temperature(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> float:
    """The temperature T > 0 at which softmax(logits / T) gives the targets the most probability.

    The answers stay the same; their stated confidence comes to fit how often they are right. A belief
    that log T is near 0 (normal, width 1) weighs as much as one text: it keeps a few texts that are all
    answered rightly from asking for certainty.

    Args:
        logits: float32 (sequences, labels), of a split that was not trained on.
        targets: int64 (sequences,).

    Source: Guo et al., "On calibration of modern neural networks", arXiv 1706.04599.
    """
    wide = logits.astype(np.float64)

    def surprise(log_temperature: float) -> float:
        scaled = wide / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        lost = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(targets)), targets]
        return float(lost.sum() + log_temperature**2 / 2)

    return least_surprising(surprise)


def least_surprising(surprise: Callable[[float], float]) -> float:
    """The temperature whose logarithm makes ``surprise``, which has one minimum, least."""
    low, high = (float(np.log(bound)) for bound in _TEMPERATURES)
    for _ in range(_NARROWINGS):  # cut off the third that cannot hold it
        third = (high - low) / 3
        if surprise(low + third) < surprise(high - third):
            high -= third
        else:
            low += third
    return float(np.exp((low + high) / 2))


def adjusted(
    logits: npt.NDArray[np.float32], labels: Sequence[str], decoding: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """What softmax takes: logits (sequences, labels) with each label's bias added, over the temperature."""
    bias = np.array([decoding.get(BIAS + label, 0.0) for label in labels], np.float32)
    return (logits + bias) / np.float32(decoding.get(TEMPERATURE, 1.0))


def decode(
    logits: npt.NDArray[np.float32], labels: Sequence[str], *, decoding: Mapping[str, float] = MappingProxyType({})
) -> list[Prediction]:
    """Answers for logits (sequences, labels); of a single output the sigmoid, as Transformers' pipeline has it."""
    scaled = adjusted(logits, labels, decoding)
    if scaled.shape[1] == 1:
        scaled = np.concatenate([scaled, np.zeros_like(scaled)], axis=1)  # softmax of (x, 0) begins with sigmoid of x
    shares = probabilities(scaled)[:, : logits.shape[1]]
    return [Prediction(labels[int(share.argmax())], float(share.max()), share) for share in shares]
