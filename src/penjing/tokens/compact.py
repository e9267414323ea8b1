"""Many token sequences: objects while they are few; beyond that, two or four bytes a token in a file.

Promise: the same sequences come out as went in, bit for bit. Price: a reading from the disk for each one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import final, overload

import numpy as np
import numpy.typing as npt

from penjing.core.spill import Spill
from penjing.tokens.encode import Encoding, Text, TextEncoder

HELD_TOKENS = 1 << 23
_TEXTS_AT_ONCE = 1024  # a tokenizer's memory is some hundred times its text
_CUT, _TYPED = 1, 2


def encode_all(encoder: TextEncoder, texts: Iterable[Text]) -> Sequence[Encoding]:
    """Tokenise texts as they come, in memory that does not grow with them once they are many.

    Args:
        encoder: as of a few texts.
        texts: one at a time.

    Raises:
        ResourceError: the disk refuses.
    """
    held: list[Encoding] = []
    many: CompactEncodings | None = None
    tokens, waiting = 0, list[Text]()

    def take() -> None:
        nonlocal many, tokens
        for one in encoder.encode(waiting):
            tokens += len(one)
            if many is None:
                held.append(one)
            else:
                many.append(one)
        waiting.clear()
        if many is None and tokens > HELD_TOKENS:
            many = CompactEncodings(encoder.vocabulary_size)
            for one in held:
                many.append(one)
            held.clear()

    for text in texts:
        waiting.append(text)
        if len(waiting) == _TEXTS_AT_ONCE:
            take()
    take()
    return held if many is None else many


@final
class CompactEncodings(Sequence[Encoding]):
    """Sequences in a file without a name; none that chooses tokens.

    Args:
        vocabulary: token ids are below it.
    """

    def __init__(self, vocabulary: int) -> None:
        self._kind = np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)
        self._spill, self._begins = Spill(), array("q")
        self._lengths, self._marks = array("i"), array("b")

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 (sequences,), tokens of each."""
        return np.array(self._lengths, np.int64)

    def append(self, encoding: Encoding) -> None:
        """Add a sequence behind all others.

        Raises:
            ResourceError: the disk refuses.
        """
        self._begins.append(len(self._spill))
        self._lengths.append(len(encoding))
        self._marks.append(_CUT * encoding.cut | _TYPED * (encoding.type_ids is not None))
        self._spill.add(encoding.ids.astype(self._kind).tobytes())
        if encoding.type_ids is not None:
            self._spill.add(encoding.type_ids.astype(np.uint8).tobytes())

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Encoding]: ...
    def __getitem__(self, index: int | slice) -> Encoding | Sequence[Encoding]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        begin, length, marks = self._begins[index], self._lengths[index], self._marks[index]
        types_at = begin + length * self._kind.itemsize
        end = types_at + (length if marks & _TYPED else 0)
        content = self._spill.read(begin, end)
        ids = np.frombuffer(content, self._kind, length).astype(np.int64)
        types = np.frombuffer(content, np.uint8, offset=types_at - begin).astype(np.int64) if marks & _TYPED else None
        return Encoding(ids, types, bool(marks & _CUT))
