"""Fill-mask: what stood where a text has a mask.

targets    the tokens behind the masks that were drawn
loss       cross-entropy over the vocabulary, at the masks alone
decoding   the likeliest tokens of each mask, each mask by itself, with their probabilities

NumPy only; so the server can use this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.core.errors import InvalidRequestError
from penjing.tasks.asked import Asked
from penjing.tokens import Encoding, Reads, Text
from penjing.tokens.encode import Spelling, TextEncoder
from penjing.tokens.masking import INSIDE, Vocabulary
from penjing.tokens.packing import places_read

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
TOP = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that may stand at a mask.

    Attributes:
        token: its id.
        token_str: as it reads in a text.
        score: its probability.
        sequence: the text with it in the mask's place, other masks left as they are.
    """

    token: int
    token_str: str
    score: float
    sequence: str


@dataclass(frozen=True, slots=True)
class Filled:
    """What may stand at each mask of a text, in the order of the text, the likeliest first."""

    masks: tuple[tuple[Candidate, ...], ...]


def with_masks(texts: Sequence[Text], encoder: TextEncoder, vocabulary: Vocabulary) -> list[Encoding]:
    """The sequences of texts, each with the places of its masks.

    Raises:
        InvalidRequestError: a pair, a text without a mask, or a mask beyond the limit of tokens.
    """
    made = []
    for number, (text, sequence) in enumerate(zip(texts, encoder.encode(texts), strict=True), start=1):
        if not isinstance(text, str):
            raise InvalidRequestError(f"text {number} is a pair", expected=f"one text with {vocabulary.mask} in it")
        places = np.flatnonzero(sequence.ids == vocabulary.mask_id)
        written = text.count(vocabulary.mask)
        if not written:
            raise InvalidRequestError(
                f"text {number} has no mask", expected=f"{vocabulary.mask} where a token is to be found"
            )
        if sequence.cut and len(places) < written:
            raise InvalidRequestError(
                f"text {number} has a mask beyond the {encoder.max_tokens} tokens that the model reads",
                do="Send the part of the text around the mask.",
            )
        made.append(replace(sequence, chosen=places))
    return made


def decode(text: str, logits: Floats, *, encoder: TextEncoder, vocabulary: Vocabulary, top: int = TOP) -> Filled:
    """The likeliest tokens at each mask of a text.

    Args:
        text: as it was written.
        logits: float32 (masks, vocabulary).
        encoder: of the model.
        vocabulary: of the tokenizer.
        top: how many.
    """
    parts, filled = text.split(vocabulary.mask), []
    for place, row in enumerate(logits.astype(np.float64)):
        shares = np.exp(row - row.max())
        shares /= shares.sum()
        likeliest = np.argpartition(-row, min(top, len(row) - 1))[:top]
        before, after = vocabulary.mask.join(parts[: place + 1]), vocabulary.mask.join(parts[place + 1 :])
        own = []
        for token in likeliest[np.argsort(-row[likeliest], kind="stable")].tolist():
            word = encoder.written(token)
            own.append(Candidate(token, word, float(shares[token]), f"{_joined(before, word)}{after}"))
        filled.append(tuple(own))
    return Filled(tuple(filled))


def _joined(before: str, word: str) -> str:
    """A text and the token that goes on with it: the inside of a word without a space, others with one at most."""
    if word.startswith(INSIDE) and len(word) > len(INSIDE):
        return before.rstrip() + word.removeprefix(INSIDE)
    return before + (word.lstrip() if not before or before[-1].isspace() else word)


def losses_and_guesses(logits: Floats, right: Ints) -> tuple[npt.NDArray[np.float64], Ints]:
    """−log p of the right token at each mask, float64 (masks,), and the likeliest token there, int64 (masks,)."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    total = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return total - wide[np.arange(len(right)), right], wide.argmax(axis=1).astype(np.int64)


@final
class MaskAnswerer:
    """Fill-mask: one sequence a text, whose masks alone are read."""

    reads: Reads = "chosen"
    windowed = False

    def __init__(self, encoder: TextEncoder, vocabulary: Vocabulary) -> None:
        self._encoder, self._vocabulary = encoder, vocabulary
        self.max_tokens = encoder.max_tokens
        self.vocabulary_size = encoder.vocabulary_size

    def encode(self, texts: Sequence[Text]) -> Asked:
        """See :class:`penjing.tasks.answering.Answerer` and :func:`penjing.tasks.with_masks`."""
        return Asked(texts, with_masks(texts, self._encoder, self._vocabulary))

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`penjing.tasks.answering.Answerer`."""
        return self._encoder.spell(texts, special=special)

    def decode(self, asked: Asked, outputs: Floats) -> list[Any]:
        """See :class:`penjing.tasks.answering.Answerer`."""
        counts = [len(places_read(one, self.reads)) for one in asked.sequences]
        return [
            decode(str(text), own, encoder=self._encoder, vocabulary=self._vocabulary)
            for text, own in zip(asked.texts, np.split(outputs, np.cumsum(counts)[:-1]), strict=True)
        ]
