"""HTML by lxml: what a reader of the page sees, without scripts, styles and navigation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.core.extras import require
from penjing.knowledge.documents import Extracted, TextBuilder
from penjing.knowledge.formats.plain import decoded
from penjing.knowledge.recipe import DocumentsRecipe

_UNSEEN = frozenset({"script", "style", "noscript", "template", "head", "nav", "svg", "iframe", "object", "select"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | {
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "ol", "p", "pre",
    "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_CELLS = frozenset({"td", "th"})
_BLANKS = re.compile(r"\s+")
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=|<\?xml[^>]+encoding\s*=", re.IGNORECASE)
_HEAD_BYTES = 4096


def read_html(path: Path, told: DocumentsRecipe) -> Extracted:
    """An HTML file, in the encoding that is told, that it tells itself, or UTF-8."""
    content = path.read_bytes()
    if told.encoding or not _CHARSET.search(content[:_HEAD_BYTES]):
        return html_text(decoded(path, told).encode(), encoding="utf-8", origin=str(path))
    return html_text(content, encoding=None, origin=str(path))


def html_text(content: bytes, *, encoding: str | None, origin: str) -> Extracted:
    """Text, headings and title of a page.

    Args:
        content: the page.
        encoding: of the bytes; None is what the page says.
        origin: what to call it in errors.

    Raises:
        DataError: the parser makes nothing of it.
    """
    require("lxml", extra="knowledge")
    from lxml import etree, html

    try:
        root = html.document_fromstring(content, parser=html.HTMLParser(encoding=encoding))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise DataError(f"{origin} cannot be read as HTML: {error}", expected="a page with text") from error
    page = _Page()
    page.walk(root)
    return page.builder.made(" ".join((root.findtext(".//title") or "").split()) or page.first_heading)


class _Page:
    """The walk over a page: text gathers until a block begins or ends. No recursion, however deep pages nest."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self.first_heading = ""
        self._run: list[str] = []

    def walk(self, root: Any) -> None:
        from lxml import etree

        skipped: Any = None
        for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
            if event == "start" and skipped is None:
                skipped = element if element.tag in _UNSEEN else None
                if skipped is None:
                    self._open(element)
            elif event == "end" and skipped is None:
                self._close(element.tag)
            if event != "start" and (skipped is None or skipped is element):
                skipped = None
                self._add(element.tail, is_pre=False)
        self._flush()

    def _open(self, element: Any) -> None:
        tag = element.tag
        if tag in _BLOCKS:
            self._flush()
        elif tag == "br":
            self._run.append("\n")
        elif tag in _CELLS and any(part.strip() for part in self._run):
            self._run.append(" | ")
        elif tag == "img":
            self._add(element.get("alt"), is_pre=False)
        self._add(element.text, is_pre=tag == "pre")

    def _close(self, tag: str) -> None:
        if tag in _HEADINGS:
            said = "".join(self._run).strip()
            self.first_heading = self.first_heading or said
            self._flush(is_heading=True)
        elif tag in _BLOCKS:
            self._flush()

    def _add(self, text: str | None, *, is_pre: bool) -> None:
        if text:
            self._run.append(text if is_pre else _BLANKS.sub(" ", text))

    def _flush(self, *, is_heading: bool = False) -> None:
        self.builder.block("".join(self._run), is_heading=is_heading)
        self._run.clear()
