"""Texts of any length as windows that a model can read, each token knowing its place in the text.

A text longer than the limit becomes several windows that overlap by ``stride`` tokens; where two
overlap, each answers for the half that it sees more around. Of a pair, such as question and
passage, the second is windowed and the first stands in every window.

Promise: each token of a (second) text is kept in exactly one window, so that nothing is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from penjing.core.errors import UsageError
from penjing.tokens.encode import Encoding, Spelling, Text, open_tokenizer, spell

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """One sequence of token ids, and where its tokens stand.

    Attributes:
        encoding: ids, special tokens included.
        begins, ends: int64 (tokens,), characters of the (second) text; both −1 for tokens outside it.
        kept: bool (tokens,), tokens that this window answers for.
    """

    encoding: Encoding
    begins: Ints
    ends: Ints
    kept: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.encoding)


class WindowEncoder:
    """A tokenizer that cuts nothing.

    Args:
        path: ``tokenizer.json``.
        max_tokens: tokens of a window, special ones included.
        stride: tokens by which two windows of a text overlap.

    Raises:
        CheckpointError: the file is absent or is not a tokenizer.
        UsageError: windows would not move on.
    """

    def __init__(self, path: Path, *, max_tokens: int, stride: int) -> None:
        self.max_tokens, self.stride = max_tokens, stride
        self._tokenizer: Tokenizer = open_tokenizer(path)
        self._plain: Tokenizer = open_tokenizer(path)
        single, pair = (self._plain.num_special_tokens_to_add(is_pair) for is_pair in (False, True))
        self._room_for_first = (max_tokens - pair) // 2
        if not 0 <= stride < max_tokens - max(single, pair) - self._room_for_first:
            raise UsageError(
                f"windows of {max_tokens} tokens that overlap by {stride}",
                expected="an overlap well below half of the window",
                do="Lower text.stride or raise text.max_tokens.",
            )
        self._tokenizer.no_padding()
        self._plain.no_padding()
        self._plain.no_truncation()

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[Text]) -> list[list[Window]]:
        """The windows of each text or pair; of a pair, offsets are those of the second text."""
        return [self._windows(text) for text in texts]

    def spell(self, texts: Sequence[str], *, special: bool = True) -> list[Spelling]:
        """See :meth:`penjing.tokens.encode.TextEncoder.spell`."""
        return spell(self._plain, texts, special=special)

    def _windows(self, text: Text) -> list[Window]:
        is_pair = not isinstance(text, str)
        self._tokenizer.enable_truncation(
            self.max_tokens, stride=self.stride, strategy="only_second" if is_pair else "longest_first"
        )
        made = self._tokenizer.encode(*((self._shortened(text[0]), text[1]) if is_pair else (text,)))
        parts = [made, *made.overflowing]
        return [
            self._window(part, second=int(is_pair), is_first=not at, is_last=at == len(parts) - 1)
            for at, part in enumerate(parts)
        ]

    def _shortened(self, first: str) -> str:
        """A first text that leaves half of the window to the second."""
        offsets = self._plain.encode(first, add_special_tokens=False).offsets
        return first if len(offsets) <= self._room_for_first else first[: offsets[self._room_for_first - 1][1]]

    def _window(self, part: Any, *, second: int, is_first: bool, is_last: bool) -> Window:
        inside = np.array([which == second for which in part.sequence_ids], bool)
        offsets = np.array(part.offsets, np.int64).reshape(-1, 2)
        kept = inside.copy()
        places = np.flatnonzero(inside)
        if not is_first:
            kept[places[: self.stride - self.stride // 2]] = False
        if not is_last and self.stride // 2:
            kept[places[-(self.stride // 2) :]] = False
        types = np.array(part.type_ids, np.int64)
        encoding = Encoding(np.array(part.ids, np.int64), types if types.any() else None)
        begins, ends = (np.where(inside, offsets[:, side], -1) for side in (0, 1))
        return Window(encoding, begins, ends, kept)
