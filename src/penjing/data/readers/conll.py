"""CoNLL files: a word a line, its tag in the last column, a blank line after each sentence.

Columns are parted by tabs or by blanks. ``-DOCSTART-`` lines and comments (``# …`` at the start of
a sentence) are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import text_lines
from penjing.data.readers.options import ReadOptions

_DOCUMENT = "-DOCSTART-"


def read_conll(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows ``{"words", "tags"}``, one at a time.

    Raises:
        DataError: a line without a tag.
    """
    words: list[str] = []
    tags: list[str] = []
    begun = 0
    for number, line in enumerate(text_lines(path, options), start=1):
        cells = _cells(line)
        if not cells:
            if words:
                yield Row({"words": words, "tags": tags}, f"{path}:{begun}")
            words, tags = [], []
            continue
        if cells[0] == _DOCUMENT or (not words and line.startswith("# ")):
            continue
        if len(cells) < 2:
            raise DataError(
                f"{path}:{number} has the word {cells[0]!r} and no tag",
                expected="a word and its tag on every line, parted by a tab or a blank",
            )
        begun = begun if words else number
        words.append(cells[0])
        tags.append(cells[-1])
    if words:
        yield Row({"words": words, "tags": tags}, f"{path}:{begun}")


def _cells(line: str) -> list[str]:
    bare = line.strip()
    return [cell.strip() for cell in bare.split("\t")] if "\t" in bare else bare.split()
