"""Which tokens a masked language model has to guess, and what stands there instead.

Promise: a draw depends on the tokens and the random generator alone, so that a run that is taken up again
sees the masks it would have seen. Every sequence with an ordinary token has at least one to guess.

Source: Devlin et al., "BERT", arXiv 1810.04805 (80/10/10); Cui et al., "Pre-training with whole word masking
for Chinese BERT", arXiv 1906.08101; Joshi et al., "SpanBERT", arXiv 1907.10529 (geometric spans); Wettig et al.,
"Should you mask 15 % in masked language modeling?", arXiv 2202.08005 (rates up to 40 %).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from penjing.core.errors import CheckpointError
from penjing.core.nouns import Frozen
from penjing.tokens.encode import Encoding, open_tokenizer

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
INSIDE, _BEGINS = "##", ("Ġ", "▁")  # how WordPiece marks the inside of a word, and the others its beginning
_SPAN_ENDS = 0.2  # SpanBERT's geometric distribution: 3.8 words on average, where the longest is 10


class MaskingRecipe(Frozen):
    """What has to be guessed.

    Attributes:
        rate: share of the tokens.
        unit: single tokens, whole words (in BERT's Chinese vocabulary a character is one), or spans of words.
        longest_span: words.
        mask_share: share of those tokens in whose place the mask stands.
        random_share: share of those in whose place a token drawn at random stands; the rest stay as they are.
    """

    rate: float = Field(0.15, gt=0, le=0.4)
    unit: Literal["token", "word", "span"] = "token"
    longest_span: int = Field(10, ge=1, le=100)
    mask_share: float = Field(0.8, ge=0, le=1)
    random_share: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.mask_share + self.random_share > 1:
            raise ValueError("mask_share and random_share are parts of the same tokens: together at most 1")
        return self


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What masking has to know of a tokenizer.

    Attributes:
        mask_id: the token that stands for a missing one.
        mask: how that is written.
        is_special: bool (vocabulary,), tokens that are not from a text.
        begins: bool (vocabulary,), tokens at which a word begins.
    """

    mask_id: int
    mask: str
    is_special: Flags
    begins: Flags


def read_vocabulary(tokenizer: Path) -> Vocabulary:
    """Read it from a ``tokenizer.json``.

    Raises:
        CheckpointError: no tokenizer, or one without a mask.
    """
    opened = open_tokenizer(tokenizer)
    added = opened.get_added_tokens_decoder()
    size = opened.get_vocab_size(with_added_tokens=True)
    special, begins = np.zeros(size, bool), np.ones(size, bool)
    special[[number for number, token in added.items() if token.special]] = True
    names = opened.get_vocab(with_added_tokens=True)
    marked = any(name.startswith(_BEGINS) for name in names)
    for name, number in names.items():
        begins[number] = name.startswith(_BEGINS) if marked else not name.startswith(INSIDE)
    masks = [(number, token.content) for number, token in added.items() if "mask" in token.content.lower()]
    if not masks:
        raise CheckpointError(
            f"the tokenizer {tokenizer} has no mask token",
            expected="one such as [MASK] or <mask>",
            do="Take the tokenizer of a masked language model.",
        )
    return Vocabulary(*masks[0], special, begins)


class Masker:
    """Draws masks.

    Args:
        vocabulary: of the tokenizer.
        recipe: how much and how.
    """

    def __init__(self, vocabulary: Vocabulary, recipe: MaskingRecipe) -> None:
        self._vocabulary, self._recipe = vocabulary, recipe
        self._ordinary = np.flatnonzero(~vocabulary.is_special)

    def draw(self, sequence: Encoding, random: np.random.Generator) -> tuple[Encoding, Ints]:
        """A sequence with masks, its ``chosen`` the places to guess, and int64 (chosen,) what stood there."""
        recipe, ids = self._recipe, sequence.ids
        places = self._places(ids, random)
        fate, masked = random.random(len(places)), ids.copy()
        masked[places[fate < recipe.mask_share]] = self._vocabulary.mask_id
        other = places[(fate >= recipe.mask_share) & (fate < recipe.mask_share + recipe.random_share)]
        masked[other] = self._ordinary[random.integers(len(self._ordinary), size=len(other))]
        return Encoding(masked, sequence.type_ids, sequence.cut, places), ids[places]

    def _places(self, ids: Ints, random: np.random.Generator) -> Ints:
        free = np.flatnonzero(~self._vocabulary.is_special[ids])
        wanted = max(1, round(self._recipe.rate * len(free))) if len(free) else 0
        if self._recipe.unit == "token" or not wanted:
            return np.sort(random.choice(free, wanted, replace=False)) if wanted else free
        words = self._words(ids, free)
        if self._recipe.unit == "word":
            return _first_that_fit([words[at] for at in random.permutation(len(words))], wanted)
        return _first_that_fit(self._spans(words, random), wanted)

    def _words(self, ids: Ints, free: Ints) -> list[Ints]:
        """The places of each word."""
        apart = self._vocabulary.begins[ids[free]]
        apart[1:] |= np.diff(free) > 1
        return np.split(free, np.flatnonzero(apart[1:]) + 1)

    def _spans(self, words: list[Ints], random: np.random.Generator) -> list[Ints]:
        """All words in spans that lie beside each other, in random order."""
        cuts = np.cumsum(np.minimum(random.geometric(_SPAN_ENDS, len(words)), self._recipe.longest_span))
        cuts = cuts[cuts < len(words)]
        bounds = [0, *cuts.tolist(), len(words)]
        spans = [np.concatenate(words[begin:end]) for begin, end in pairwise(bounds)]
        return [spans[at] for at in random.permutation(len(spans))]


def _first_that_fit(groups: list[Ints], wanted: int) -> Ints:
    """Places of the first groups that fit into ``wanted``, ascending; where none does, as much of the first."""
    taken: list[Ints] = []
    left = wanted
    for group in groups:
        if len(group) <= left:
            taken.append(group)
            left -= len(group)
        if not left:
            break
    return np.sort(np.concatenate(taken)) if taken else groups[0][:wanted]
