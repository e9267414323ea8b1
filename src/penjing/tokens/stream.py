"""Text larger than memory, as token ids in a file: written once, mapped while it is trained on.

Promises: a file is whole or absent; what is read of it is what the sequences of a step need; a document's tokens
never share a sequence with another's. Price: two bytes a token on disk (four where the vocabulary has more than
65,536 tokens), and 16 bytes of memory for each sequence.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import final, overload

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from penjing.core.errors import DataError
from penjing.core.files import STAGING_PREFIX, canonical_json, staged_directory
from penjing.tokens.encode import Encoding

Ints = npt.NDArray[np.int64]
_IDS, _ENDS, _FACTS = "ids.bin", "ends.bin", "facts.json"
_DOCUMENTS_AT_ONCE = 256
_PIECE_CHARACTERS = 1 << 16  # a tokenizer's memory is some hundred times its text


@dataclass(frozen=True, slots=True)
class TokenFile:
    """Documents as token ids, one after another.

    Attributes:
        ids: (tokens,), mapped from disk.
        ends: int64 (documents,), where each ends.
        sha256: of the ids and ends.
    """

    ids: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
    ends: Ints
    sha256: str


def write_tokens(target: Path, documents: Iterable[str], tokenizer: Tokenizer, *, last: int | None = None) -> None:
    """Tokenise documents one after another into the directory ``target``.

    Args:
        target: absent; whole when this returns.
        documents: not blank.
        tokenizer: gives ids without special tokens.
        last: a token id to put behind every document.

    Raises:
        ResourceError: the disk refused.
    """
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    kind = np.uint16 if size <= 1 << 16 else np.uint32
    behind = [] if last is None else [last]
    hasher, ends, at = hashlib.sha256(), [], 0
    with staged_directory(target) as beside:
        with (beside / _IDS).open("wb") as file:
            for ids in _tokenised(documents, tokenizer):
                made = np.array(ids + behind, kind).tobytes()
                file.write(made)
                hasher.update(made)
                at += len(ids) + len(behind)
                ends.append(at)
        made = np.array(ends, np.int64).tobytes()
        hasher.update(made)
        (beside / _ENDS).write_bytes(made)
        facts = {"bytes_a_token": np.dtype(kind).itemsize, "sha256": hasher.hexdigest()}
        (beside / _FACTS).write_bytes(canonical_json(facts))


def clear_unfinished(folder: Path) -> None:
    """Remove what a process that was killed left of its writing in ``folder``."""
    for left in folder.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def open_tokens(path: Path) -> TokenFile:
    """Map what :func:`write_tokens` wrote.

    Raises:
        DataError: no document in it.
    """
    facts = json.loads((path / _FACTS).read_bytes())
    ends = np.fromfile(path / _ENDS, np.int64)
    if not len(ends) or not ends[-1]:
        raise DataError("there is no text to train on", expected="at least one document that is not blank")
    kind = np.uint16 if facts["bytes_a_token"] == 2 else np.uint32
    return TokenFile(np.memmap(path / _IDS, kind, "r"), ends, str(facts["sha256"]))


@final
class TokenWindows(Sequence[Encoding]):
    """The sequences of a token file: each document cut into as few as hold it.

    Args:
        file: documents.
        max_tokens: of a sequence, special tokens included.
        before, after: token ids around each sequence.
    """

    def __init__(
        self, file: TokenFile, *, max_tokens: int, before: Sequence[int] = (), after: Sequence[int] = ()
    ) -> None:
        self._ids = file.ids
        self._before, self._after = np.array(before, np.int64), np.array(after, np.int64)
        around = len(before) + len(after)
        room = max_tokens - around
        if room < 1:
            raise ValueError(f"sequences of {max_tokens} tokens hold nothing beside {around} special ones")
        lengths = np.diff(file.ends, prepend=0)
        counts = -(-lengths // room)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # within the document
        self._begins = np.repeat(file.ends - lengths, counts) + number * room
        self._ends = np.minimum(self._begins + room, np.repeat(file.ends, counts))
        self.lengths: Ints = self._ends - self._begins + around

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Encoding]: ...
    def __getitem__(self, index: int | slice) -> Encoding | Sequence[Encoding]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        own = self._ids[self._begins[index] : self._ends[index]].astype(np.int64)
        return Encoding(np.concatenate([self._before, own, self._after]))


def around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special token ids that a tokenizer puts before and after a text."""
    marks = tokenizer.encode("a").special_tokens_mask
    ids = tokenizer.encode("a").ids
    first = next((at for at, mark in enumerate(marks) if not mark), len(marks))
    end = next((at for at in range(len(marks), first, -1) if not marks[at - 1]), first)
    return ids[:first], ids[end:]


def pieces_of(text: str, tokenizer: Tokenizer, *, room: int) -> list[str]:
    """A text cut into parts of at most ``room`` tokens each, between two words where there are some.

    Args:
        text: any.
        tokenizer: cuts and pads nothing.
        room: tokens.
    """
    made = tokenizer.encode(text, add_special_tokens=False)
    parts, begin, at = [], 0, 0
    while at + room < len(made):
        words, end = made.word_ids, at + room
        while end > at + 1 and words[end] is not None and words[end] == words[end - 1]:
            end -= 1
        end = at + room if end == at + 1 else end
        parts.append(text[begin : made.offsets[end][0]])
        begin, at = made.offsets[end][0], end
    return [part for part in (*parts, text[begin:]) if part.strip()]


def _tokenised(documents: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """The ids of each document; long ones go through the tokenizer in parts."""
    waiting = iter(documents)
    while some := list(islice(waiting, _DOCUMENTS_AT_ONCE)):
        cut = [list(_parts(document)) for document in some]
        made = iter(tokenizer.encode_batch_fast([part for parts in cut for part in parts], add_special_tokens=False))
        for parts in cut:
            yield [token for _ in parts for token in next(made).ids]


def _parts(document: str) -> Iterator[str]:
    """A document in parts that end before a space, where it has any."""
    begin = 0
    while len(document) - begin > _PIECE_CHARACTERS:
        end = document.rfind(" ", begin + 1, begin + _PIECE_CHARACTERS)
        end = begin + _PIECE_CHARACTERS if end <= begin else end
        yield document[begin:end]
        begin = end
    yield document[begin:]
