"""CSV and TSV by the ``csv`` module: quoted line ends, doubled quotation marks, big fields.

Quotation is read strictly: a stray or unclosed quotation mark is an error where lenient readers
would glue rows together.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import MAX_LINE_CHARS, text_lines
from penjing.data.readers.options import ReadOptions

Record = tuple[int, list[str]]


def read_csv(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows of comma-separated text with a header line."""
    return read_delimited(path, options, delimiter=",")


def read_tsv(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows of tab-separated text with a header line."""
    return read_delimited(path, options, delimiter="\t")


def read_delimited(path: Path, options: ReadOptions, *, delimiter: str) -> Iterator[Row]:
    """Rows by header, or by ``options.columns`` where the file has none.

    Raises:
        DataError: no header, a name twice, a row with more or fewer fields, broken quotation.
    """
    records = csv_records(path, options, delimiter=delimiter)
    names: Sequence[str]
    if options.columns is None:
        names = header(path, next((fields for _, fields in records if fields), []))
    else:
        names = options.columns
    return rows_by_name(path, records, names)


def csv_records(path: Path, options: ReadOptions, *, delimiter: str) -> Iterator[Record]:
    """``(first line, fields)`` of each record; a blank line gives no fields."""
    if csv.field_size_limit() < MAX_LINE_CHARS:
        csv.field_size_limit(MAX_LINE_CHARS)  # of the whole process; only ever raised
    reader = csv.reader(
        text_lines(path, options),
        delimiter=options.delimiter or delimiter,
        quotechar='"' if options.quoted else None,
        quoting=csv.QUOTE_MINIMAL if options.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}:{line}: {error}",
                expected='quoted fields that close, with "" for a quotation mark inside',
                do="Correct the line, or set quotes: none if quotation marks are plain characters in this file.",
            ) from error
        yield line, fields


def header(path: Path, fields: Sequence[str]) -> list[str]:
    """Column names, or the error that says what is wrong with them."""
    names = [name.strip() for name in fields]
    if not names:
        raise DataError(f"{path} is empty", expected="a header line and rows")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the header of {path} has {', '.join(map(repr, twice))} twice", expected="each name once")
    return names


def rows_by_name(path: Path, records: Iterator[Record], names: Sequence[str]) -> Iterator[Row]:
    """Rows with as many fields as there are names."""
    for line, fields in records:
        if not fields:
            continue
        if len(fields) != len(names):
            raise DataError(
                f"{path}:{line} has {len(fields)} field{'s' if len(fields) != 1 else ''}",
                expected=f"{len(names)} ({', '.join(names)})",
                do="Quote values that hold the delimiter; see also the keys delimiter: and quotes:.",
            )
        yield Row(dict(zip(names, fields, strict=True)), f"{path}:{line}")
