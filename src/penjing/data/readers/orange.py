"""Orange's ``.tab``: tab-separated text with three header lines: names, types, flags.

Source: Orange data mining library, "Loading your data", native format. Some files (its 20
newsgroups) have a blank fourth line; blank lines are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.delimited import csv_records, header, rows_by_name
from penjing.data.readers.options import ReadOptions

_TYPES = frozenset({"c", "continuous", "d", "discrete", "s", "string", "t", "time"})
_FLAGS = frozenset({"c", "class", "m", "meta", "i", "ignore", "w", "weight"})


def read_orange(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows of an Orange table. Types are not applied: values stay strings.

    Raises:
        DataError: as for TSV, or the three header lines are not there.
    """
    records = csv_records(path, options, delimiter="\t")
    head = [fields for _, fields in islice(records, 3)]
    names = header(path, head[0] if head else [])
    if len(head) < 3 or not _are_types(head[1]) or not _are_flags(head[2]):
        raise DataError(
            f"{path} lacks Orange's three header lines",
            expected="names, then types (such as discrete, string), then flags (such as class, meta)",
            do="If it has one header line, rename it to .tsv.",
        )
    return rows_by_name(path, records, names)


def _are_types(fields: list[str]) -> bool:
    # a discrete column may list its values in place of the word, so one known word must do
    return any(field.strip().lower() in _TYPES for field in fields)


def _are_flags(fields: list[str]) -> bool:
    words = [word for field in fields for word in field.lower().split()]
    return all(word in _FLAGS or "=" in word for word in words)
