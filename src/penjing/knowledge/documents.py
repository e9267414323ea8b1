"""What a knowledge base holds: documents, as text with places in it. Whatever a file was, this is what is cited.

Promise: every offset that is ever told counts characters of :attr:`Document.text`, which the base keeps.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from penjing.core.files import digest


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        name: its id; one document of a base has it.
        text: all of it; of a row of questions and answers, the question.
        title: of the whole; may be empty.
        pages: where each page begins in the text; empty where the format has no pages.
        headings: where each heading begins.
        answer: that the base gives to the question ``text``; None for documents that are read.
        source: the file, and the row of it, that it was read from.
        notes: what of it could not be read, in words.
    """

    name: str
    text: str
    title: str = ""
    pages: tuple[int, ...] = ()
    headings: tuple[int, ...] = ()
    answer: str | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all that is looked up, read or told."""
        return digest([self.name, self.text, self.title, self.pages, self.headings, self.answer])

    def page_at(self, offset: int) -> int | None:
        """The page, from 1, that a character stands on."""
        return page_at(self.pages, offset)


def page_at(pages: tuple[int, ...], offset: int) -> int | None:
    """The page, from 1, on which a character stands; None where there are no pages."""
    return bisect.bisect_right(pages, offset) if pages else None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a reader of one format found in a file.

    Attributes:
        text, title, pages, headings, notes: as :class:`Document` has them.
    """

    text: str
    title: str = ""
    pages: tuple[int, ...] = ()
    headings: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


_GAP = "\n\n"


class TextBuilder:
    """Puts blocks of text together and remembers where pages and headings begin."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._pages: list[int] = []
        self._headings: list[int] = []

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def page(self) -> None:
        """A page begins."""
        self._gap()
        self._pages.append(self._length)

    def block(self, text: str, *, is_heading: bool = False) -> None:
        """A paragraph, a heading, a row of a table; blank ones are passed over."""
        if not text.strip():
            return
        self._gap()
        if is_heading:
            self._headings.append(self._length)
        self._add(text.strip())

    def made(self, title: str = "") -> Extracted:
        """What was put together."""
        return Extracted("".join(self._parts), title, tuple(self._pages), tuple(self._headings))

    def _gap(self) -> None:
        if self._parts and self._parts[-1] != _GAP:
            self._add(_GAP)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
