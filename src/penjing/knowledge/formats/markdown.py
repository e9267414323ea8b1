"""Markdown, as its reader sees it: the marks are gone, headings are known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.core.extras import require
from penjing.knowledge.documents import Extracted, TextBuilder
from penjing.knowledge.formats.plain import decoded
from penjing.knowledge.recipe import DocumentsRecipe

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*\r?$", re.MULTILINE)
_BLOCKS = ("fence", "code_block")
_SPELT = {"softbreak": " ", "hardbreak": "\n"}


def read_markdown(path: Path, told: DocumentsRecipe) -> Extracted:
    """A Markdown file."""
    return markdown_text(decoded(path, told))


def markdown_text(text: str) -> Extracted:
    """Text, headings and title of Markdown; its front matter gives the title and nothing else."""
    require("markdown_it", extra="knowledge")
    from markdown_it import MarkdownIt

    front = _FRONT_MATTER.match(text)
    told = _TITLE.search(front[0]) if front else None
    tokens = MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text)
    builder, title, cells, kind = TextBuilder(), told[1] if told else "", [""], ""
    cells.clear()
    for token in tokens:
        if token.type == "tr_close":
            builder.block(" | ".join(cells))
            cells.clear()
        elif token.type in _BLOCKS:
            builder.block(token.content)
        elif token.type == "inline":
            said = _said(token.children or [])
            title = title or (said if kind == "heading_open" else "")
            if kind in ("td_open", "th_open"):
                cells.append(said)
            else:
                builder.block(said, is_heading=kind == "heading_open")
        kind = token.type
    return builder.made(title)


def _said(children: list[Token]) -> str:
    return "".join(
        _SPELT.get(one.type, one.content if one.type in ("text", "code_inline", "image") else "") for one in children
    )
