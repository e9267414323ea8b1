"""Text classification: one label for a text or a pair of texts.

targets    index of the label in the sorted list of labels
loss       cross-entropy
decoding   softmax; the answer is the most probable label

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.tokens import Text

if TYPE_CHECKING:  # the server uses this file, and has neither
    from torch import Tensor

    from penjing.data.examples import TextExample


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


def texts_of(examples: Iterable[TextExample]) -> list[Text]:
    """What the tokenizer takes: a text, or a pair."""
    return [example.text if example.pair is None else (example.text, example.pair) for example in examples]


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


def loss(logits: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy summed over sequences: Σ −log softmax(logits)[target]."""
    from torch.nn import functional

    del lengths

    return functional.cross_entropy(logits, targets, reduction="sum")


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Softmax along the last axis, float64."""
    wide = logits.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
    softmax: npt.NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return softmax


def decode(logits: npt.NDArray[np.float32], labels: Sequence[str]) -> list[Prediction]:
    """Answers for logits (sequences, labels)."""
    shares = probabilities(logits)
    return [Prediction(labels[int(share.argmax())], float(share.max()), share) for share in shares]
