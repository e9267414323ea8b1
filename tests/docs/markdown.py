"""Just enough Markdown to check our own pages: fenced blocks, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- ([^\n]*?) -->\n+\Z")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        note: the HTML comment on the line before it, or empty.
    """

    page: Path
    line: int
    language: str
    code: str
    note: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What is typed in a ``console`` block: the lines after ``$``, continued lines joined."""
        joined = self.code.replace("\\\n", "")
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def pages() -> list[Path]:
    """Every page a reader meets."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    text = read(page)
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2], _note(text[: found.start()]))
        for found in _FENCE.finditer(text)
    ]


def _note(before: str) -> str:
    found = _COMMENT.search(before)
    return found[1] if found else ""


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def headings(page: Path) -> list[str]:
    """``#`` marks and words of each heading."""
    return re.findall(r"^#+ .*$", prose(page), re.MULTILINE)


def links(page: Path) -> list[str]:
    without_code = re.sub(r"`[^`\n]*`", "", prose(page))
    return [first or second for first, second in _LINK.findall(without_code)]


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()) for heading in headings(page))
    return {word.strip().replace(" ", "-") for word in words}
