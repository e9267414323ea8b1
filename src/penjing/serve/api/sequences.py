"""From input tensors to what the data plane takes: encodings without padding, or texts.

A tensor of token ids has shape (batch, tokens). One more dimension in front is accepted: a row that
is itself a batch, as in ``{"input_ids": ids.tolist()}`` of a batch; its prediction is a list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError
from penjing.serve.answers import Inputs
from penjing.tokens import Encoding
from penjing.tokens.encode import Text

Tensors = Mapping[str, npt.NDArray[Any]]
Shape = tuple[int, ...]
Ints = npt.NDArray[np.int64]
# What the two texts of a pair are called where one is a question about the other.
QUESTION, CONTEXT = "question", "context"


@dataclass(frozen=True, slots=True)
class Layout:
    """How answers are to be laid out.

    Attributes:
        shape: of the batch: (batch,), or more where a row is itself a batch.
        width: tokens of a row as it came, padding included; 0 for texts.
        kept: of each row, the part that is not padding; empty for texts.
    """

    shape: Shape
    width: int = 0
    kept: tuple[slice, ...] = ()

    def spread(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Rows of outputs, one a token that is not padding, as (…shape, width, outputs) with zeros elsewhere."""
        spread = np.zeros((len(self.kept), self.width, outputs.shape[1]), np.float32)
        at = 0
        for row, part in enumerate(self.kept):
            begin, end, _ = part.indices(self.width)
            spread[row, begin:end] = outputs[at : at + end - begin]
            at += end - begin
        return spread.reshape(*self.shape, self.width, outputs.shape[1])


def to_inputs(tensors: Tensors) -> tuple[Inputs, Layout]:
    """Sequences in order, and how their answers are to be laid out.

    Args:
        tensors: ``text`` and perhaps ``text_pair``, or ``question`` and ``context``, objects (str) of any one
            shape; or ``input_ids`` and perhaps ``attention_mask`` and ``token_type_ids``, int64 (batch, tokens).

    Raises:
        InvalidRequestError: shapes differ, or the mask is not one run of ones.
    """
    first = next((name for name in ("text", QUESTION) if name in tensors), "input_ids")
    for name, tensor in tensors.items():
        if tensor.shape != tensors[first].shape:
            raise InvalidRequestError(
                f"Tensor {name} has shape {list(tensor.shape)}, but {first} has {list(tensors[first].shape)}"
            )
    if first != "input_ids":
        return _texts(tensors[first], tensors.get("text_pair", tensors.get(CONTEXT))), Layout(tensors[first].shape)
    return _encodings(tensors)


def _texts(first: npt.NDArray[Any], second: npt.NDArray[Any] | None) -> list[Text]:
    texts: list[Text] = first.ravel().tolist()
    return texts if second is None else list(zip(map(str, texts), second.ravel().tolist(), strict=True))


def _encodings(tensors: Tensors) -> tuple[list[Encoding], Layout]:
    ids = tensors["input_ids"]
    if ids.shape == (0,):
        return [], Layout((0,))
    if ids.ndim not in (2, 3):
        raise InvalidRequestError(f"Tensor input_ids has shape {list(ids.shape)}, but [-1,-1] is expected")
    rows = _rows(ids)
    masks = _rows(tensors["attention_mask"]) if "attention_mask" in tensors else None
    types = _rows(tensors["token_type_ids"]) if "token_type_ids" in tensors else None
    encodings, parts = [], []
    for index, row in enumerate(rows):
        kept = slice(None) if masks is None else _kept(masks[index], index=index)
        parts.append(kept)
        kinds = None if types is None else types[index][kept]
        encodings.append(Encoding(row[kept], kinds if kinds is not None and np.count_nonzero(kinds) else None))
    return encodings, Layout(ids.shape[:-1], ids.shape[-1], tuple(parts))


def _rows(tensor: Ints) -> Ints:
    return tensor if tensor.ndim == 2 else tensor.reshape(math.prod(tensor.shape[:-1]), tensor.shape[-1])


def _kept(mask: Ints, *, index: int) -> slice:
    """The run of ones in a mask."""
    is_one = mask == 1
    if np.count_nonzero(is_one) == len(mask):
        return slice(None)
    ones = np.flatnonzero(is_one)
    is_binary = len(ones) + np.count_nonzero(mask == 0) == len(mask)
    if not is_binary or not len(ones) or ones[-1] - ones[0] + 1 != len(ones):
        raise InvalidRequestError(
            f"attention_mask of input {index} is not one run of ones",
            expected="ones for tokens and zeros for the padding before or after them",
        )
    return slice(int(ones[0]), int(ones[-1]) + 1)
