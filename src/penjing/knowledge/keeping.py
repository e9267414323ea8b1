"""What a knowledge base keeps, and the protocol of a place that keeps it: a file, or a database by URL.

Promise of every base: a document is there whole with all its passages, words and vectors, or as it was before,
whatever is killed at whatever moment; what is asked sees whole documents only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from penjing.core.errors import NotFoundError
from penjing.knowledge.chunks import Chunk
from penjing.knowledge.documents import Document

Floats = npt.NDArray[np.float32]


class Hit(NamedTuple):
    """A passage that a search brought.

    Attributes:
        chunk: its number.
        score: higher is nearer; of BM25 and of cosines, which do not compare.
    """

    chunk: int
    score: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be kept.

    Attributes:
        vectors: float32 (chunks, dimensions); None without an embedding model.
    """

    document: Document
    chunks: Sequence[Chunk]
    vectors: Floats | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage with where it is from.

    Attributes:
        chunk: its number.
        document, title, source: see :class:`Document`.
        begin, end: characters of the document's text, the end not included.
        page: from 1, of its beginning; None where there are no pages.
        pages: where all pages begin.
        text: the passage.
        answer: that stands beside it, where it is a question.
    """

    chunk: int
    document: str
    title: str
    source: str
    begin: int
    end: int
    page: int | None
    pages: tuple[int, ...]
    text: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A document in a list.

    Attributes:
        characters, passages, pages: how many.
        is_answer: whether it is a question with its answer.
        added: when, in ISO 8601.
    """

    document: str
    title: str
    source: str
    characters: int
    passages: int
    pages: int
    is_answer: bool
    added: str


class Base(Protocol):
    """Where documents are kept and found. All may raise StoreError where the place cannot be reached or is broken.

    Attributes:
        place: as a user names it, without a password.
    """

    @property
    def place(self) -> str:
        """See the class."""

    def must_exist(self) -> None:
        """Raise NotFoundError unless a document was ever added."""

    def settings(self) -> dict[str, Any]:
        """What was kept by :meth:`keep`; nothing where there is no base."""

    def keep(self, settings: Mapping[str, Any]) -> None:
        """Keep settings, each as JSON, beside those of other names."""

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """The digest of each document that is there."""

    def put(self, prepared: Sequence[Prepared]) -> None:
        """Add documents, or put them in the place of those with their names: all of them or none."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove documents: all of them, or none and NotFoundError if one is not there."""

    def documents(self, *, after: str = "", most: int = -1) -> list[Listed]:
        """Documents by their ids, from behind the id ``after`` on."""

    def count(self) -> tuple[int, int]:
        """How many documents and passages there are."""

    def text(self, name: str) -> str:
        """All of a document's text, or NotFoundError."""

    def by_words(self, question: str, *, most: int) -> list[Hit]:
        """Passages that share words with a question, by BM25, best first."""

    def by_vector(self, vector: Floats, *, most: int) -> list[Hit]:
        """Passages that mean the like, by cosine, best first."""

    def cosines(self, vector: Floats, chunks: Sequence[int]) -> dict[int, float]:
        """How near some passages are; those without a vector are left out."""

    def passages(self, chunks: Sequence[int]) -> list[Passage]:
        """Passages by their numbers, in that order; those that were removed meanwhile are left out."""

    def close(self) -> None:
        """Free what asking holds. Idempotent; the base may be asked again."""


def no_base(place: str) -> NotFoundError:
    """There is no base at a place."""
    return NotFoundError(
        f"there is no knowledge base {place}",
        expected="one that penjing knowledge add has made",
        do=f"Run: penjing knowledge add {place} FILES",
    )


def no_document(name: str, place: str) -> NotFoundError:
    """A base does not hold a document."""
    return NotFoundError(
        f"no document {name!r} is in {place}", expected="the id of one", do=f"See: penjing knowledge list {place}"
    )
