"""What a user may tell a reader about a text file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penjing.data.examples import Row


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read text; formats that carry their own encoding and columns ignore it.

    Attributes:
        encoding: None is UTF-8, or what a byte order mark says.
        encoding_errors: ``replace`` puts U+FFFD for bytes that do not decode.
        delimiter: None goes by the suffix.
        quoted: whether a quotation mark encloses a field.
        columns: names for a file without a header line; None reads the header.
        format: name of the reader; None goes by the suffix.
    """

    encoding: str | None = None
    encoding_errors: Literal["strict", "replace"] = "strict"
    delimiter: str | None = None
    quoted: bool = True
    columns: tuple[str, ...] | None = None
    format: str | None = None


Reader = Callable[[Path, ReadOptions], Iterator[Row]]
