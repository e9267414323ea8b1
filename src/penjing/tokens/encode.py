"""From text to token ids, by the checkpoint's own ``tokenizer.json``.

Promise: the same ids as Transformers gives for the same file, special tokens included; text
that is cut is counted, never cut in silence. No torch, no Transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from penjing.core.errors import CheckpointError
from penjing.tokens.prefix import safe_cut

Text = str | tuple[str, str]
_ALL_CORES_FROM = 16  # texts; below, with busy cores, the 99th percentile is 5 ms with all cores and 0.3 ms with one

# Of long English texts 99 in 100 have fewer characters a token than this; the others are read twice.
_CHARACTERS_A_TOKEN = 6


@dataclass(frozen=True, slots=True)
class Encoding:
    """Token ids of one text or pair, special tokens included.

    Attributes:
        ids: int64 (tokens,).
        type_ids: int64 (tokens,), 1 for the second text of a pair; None where all are 0.
        cut: True if the text was longer than the limit.
        chosen: int64 (n,), ascending places of the tokens that matter to a head which does not read them all
            (the masked ones, say); None is every one.
    """

    ids: npt.NDArray[np.int64]
    type_ids: npt.NDArray[np.int64] | None = None
    cut: bool = False
    chosen: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Spelling:
    """The tokens of one text, none cut off.

    Attributes:
        ids: of the tokens.
        tokens: as the vocabulary writes them.
        spans: where each stands in the text, in characters from ``begin`` to before ``end``.
        special: True for those that are not from the text.
    """

    ids: Sequence[int]
    tokens: Sequence[str]
    spans: Sequence[tuple[int, int]]
    special: Sequence[bool]


class TextEncoder:
    """A tokenizer with a length limit.

    Args:
        path: ``tokenizer.json``.
        max_tokens: longer texts are cut to this many tokens, special ones included.

    Raises:
        CheckpointError: the file is absent or is not a tokenizer.
    """

    def __init__(self, path: Path, *, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(path)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._safe_cut = safe_cut(self._tokenizer)
        self._enough_characters = max_tokens * _CHARACTERS_A_TOKEN
        self.max_tokens = max_tokens
        self._uncut: Tokenizer | None = None

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[Text]) -> list[Encoding]:
        """Tokenise texts and pairs. Long lists use all cores; short ones would wait longer for them than they take.

        Of a text that is much longer than the limit only the beginning is read, if it is certain
        to give the same tokens. Pairs are read whole: which part is cut depends on both lengths.
        """
        beginnings = [self._beginning(text) for text in texts]
        made = self._tokenise(beginnings)
        too_few = [
            index
            for index, (text, beginning) in enumerate(zip(texts, beginnings, strict=True))
            if beginning is not text and not made[index].overflowing
        ]
        for index, whole in zip(too_few, self._tokenise([texts[index] for index in too_few]), strict=True):
            made[index] = whole
        return [_encoding(one) for one in made]

    def spell(self, texts: Sequence[str], *, special: bool = True) -> list[Spelling]:
        """Tokenise texts of any length whole, with the place of each token.

        Args:
            texts: as they were written.
            special: with the tokens that the model wants around a text.
        """
        if self._uncut is None:  # a second tokenizer, made when first asked for: the first one cuts, and is in use
            uncut = Tokenizer.from_str(self._tokenizer.to_str())
            uncut.no_truncation()
            self._uncut = uncut
        return spell(self._uncut, texts, special=special)

    def _beginning(self, text: Text) -> Text:
        if self._safe_cut is None or not isinstance(text, str) or len(text) <= self._enough_characters:
            return text
        at = self._safe_cut.before(text, self._enough_characters)
        return text if at is None else text[:at]

    def _tokenise(self, texts: Sequence[Text]) -> list[Any]:
        if len(texts) >= _ALL_CORES_FROM:
            return list(self._tokenizer.encode_batch_fast(list(texts)))
        return [self._tokenizer.encode(*([text] if isinstance(text, str) else text)) for text in texts]

    def written(self, token: int) -> str:
        """A token as it reads in a text."""
        return str(self._tokenizer.decode([token], skip_special_tokens=False))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The tokens behind ids, for people to read."""
        return [self._tokenizer.id_to_token(int(one)) or f"<{one}>" for one in ids]


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a file.

    Raises:
        CheckpointError: the file is absent or is not a tokenizer.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises plain Exception
        raise CheckpointError(
            f"tokenizer {path} cannot be read: {error}",
            expected="a tokenizer.json as Transformers writes it",
            do="Save the tokenizer again with tokenizer.save_pretrained(directory).",
        ) from error


def spell(tokenizer: Tokenizer, texts: Sequence[str], *, special: bool) -> list[Spelling]:
    """The tokens of texts, by a tokenizer that cuts nothing."""
    made = [tokenizer.encode(text, add_special_tokens=special) for text in texts]
    return [Spelling(one.ids, one.tokens, one.offsets, [mark == 1 for mark in one.special_tokens_mask]) for one in made]


def _encoding(one: Any) -> Encoding:
    ids = np.array(one.ids, np.int64)
    types = np.array(one.type_ids, np.int64)
    return Encoding(ids, types if types.any() else None, bool(one.overflowing))
