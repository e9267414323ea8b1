"""Two text files whose lines belong together, as parallel corpora come: ``train.{en,de}`` or ``train.{en,de}.gz``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import text_lines
from penjing.data.readers.options import ReadOptions

SOURCE, TARGET = "source", "target"
_BRACES = re.compile(r"^(?P<begin>.*)\{(?P<first>[^{},]*),(?P<second>[^{},]*)\}(?P<end>[^{}]*)$")


def two_files(source: str) -> tuple[Path, Path] | None:
    """The two files that ``begin{first,second}end`` names; None for any other source."""
    found = _BRACES.match(source)
    if found is None or Path(source).expanduser().exists():
        return None
    begin, first, second, end = found["begin"], found["first"], found["second"], found["end"]
    return Path(begin + first + end).expanduser(), Path(begin + second + end).expanduser()


def read_aligned(first: Path, second: Path, options: ReadOptions) -> Iterator[Row]:
    """A row a line: ``source`` of the first file, ``target`` of the second.

    Raises:
        DataError: a file is absent or unreadable, or one has more lines than the other.
    """
    for path in (first, second):
        if not path.exists():
            raise DataError(f"{path} does not exist", expected="both files of {first,second}")
    ended = object()
    pairs = zip_longest(text_lines(first, options), text_lines(second, options), fillvalue=ended)
    for number, (source, target) in enumerate(pairs, start=1):
        if source is ended or target is ended:
            short, long = (first, second) if source is ended else (second, first)
            raise DataError(
                f"{short} ends after line {number - 1:,}, and {long} goes on",
                expected="as many lines in both",
                do="Take both from the same release of the corpus.",
            )
        yield Row({SOURCE: str(source).strip("\r\n"), TARGET: str(target).strip("\r\n")}, f"{first}:{number}")
