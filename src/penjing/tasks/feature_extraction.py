"""Feature extraction: one vector for a text, near to those of texts that mean the same.

targets    of both texts of a pair: the score of the pair, NaN where it has none, and the number of the text
loss       with scores, the squared error of the cosine; without, in-batch negatives: cross-entropy of the
           cosines between each first text and every second one of the step
decoding   length one, if the model wants it; fewer dimensions, if the caller does

NumPy only, but for the loss, which is handed torch tensors; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penjing.tokens import Text

if TYPE_CHECKING:  # the server uses this file, and has neither
    from torch import Tensor

    from penjing.data.examples import PairExample

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float32]
# Of in-batch negatives: what cosines are divided by. sentence-transformers multiplies by 20, which is the same.
TEMPERATURE = 0.05
_SHORTEST = 1e-12  # a vector of zeros stays one


def texts_of(examples: Iterable[PairExample]) -> list[Text]:
    """All texts one after another: of a pair the first, then the second."""
    return list(each_text(examples))


def each_text(examples: Iterable[PairExample]) -> Iterator[Text]:
    """The same, one at a time."""
    return (text for example in examples for text in example.texts)


def targets_of(examples: Sequence[PairExample]) -> npt.NDArray[np.float64]:
    """Score and number of each text, float64 (texts, 2); equal texts have one number.

    Scores beyond 0..1 are brought to it, the lowest to 0 and the highest to 1.
    """
    numbers: dict[Text, int] = {}
    texts = texts_of(examples)
    scores = np.array([np.nan if one.score is None else one.score for one in examples for _ in one.texts], np.float64)
    low, high = (np.nanmin(scores), np.nanmax(scores)) if np.isfinite(scores).any() else (0.0, 1.0)
    if low < 0 or high > 1:
        scores = (scores - low) / max(high - low, _SHORTEST)
    return np.column_stack([scores, [numbers.setdefault(text, len(numbers)) for text in texts]])


def loss(vectors: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Summed over pairs, whose texts stand one after another.

    With a score s: (cos(a, b) − s)². Without: −log softmax(cos(a, ·) / temperature)[b] over the second
    texts of the step, but for those that are copies of a or b, or stand with another copy of a.

    Source: Henderson et al. 2017, "Efficient Natural Language Response Suggestion", arXiv 1705.00652.
    """
    import torch
    from torch.nn import functional

    del lengths
    unit = functional.normalize(vectors, dim=-1, eps=_SHORTEST)
    first, second, scores = unit[::2], unit[1::2], targets[::2, 0]
    if not bool(torch.isnan(scores).any()):
        return ((first * second).sum(dim=-1) - scores.to(unit.dtype)).square().sum()
    one, other = targets[::2, 1], targets[1::2, 1]
    alike = (one[:, None] == one) | (other[:, None] == other) | (one[:, None] == other)
    alike &= ~torch.eye(len(one), dtype=torch.bool)
    cosines = (first @ second.T / TEMPERATURE).masked_fill(alike, float("-inf"))
    return functional.cross_entropy(cosines, torch.arange(len(one)), reduction="sum")


def shaped(outputs: Floats, *, normalised: bool, dimensions: int | None = None) -> Floats:
    """Vectors as they are wanted, float32 (texts, dimensions).

    Args:
        outputs: the head's.
        normalised: bring each to length one.
        dimensions: how many of the first ones to keep, before that; None is all.
    """
    kept = outputs if dimensions is None else outputs[:, :dimensions]
    if not normalised:
        return kept
    lengths = np.maximum(np.linalg.norm(kept, axis=-1, keepdims=True), np.float32(_SHORTEST))
    return np.asarray(kept / lengths, np.float32)
