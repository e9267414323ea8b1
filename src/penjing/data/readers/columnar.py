"""Parquet, and Arrow in its file (Feather) and stream forms, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.core.extras import require
from penjing.data.examples import Row
from penjing.data.readers.options import ReadOptions

_BATCH_ROWS = 1024
_ARROW_FILE_MAGIC = b"ARROW1"


def read_parquet(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows of a Parquet file.

    Raises:
        DataError: not Parquet, or damaged.
        ResourceError: pyarrow is not installed.
    """
    del options
    parquet = require("pyarrow.parquet", extra="data")
    return _rows(path, lambda: _parquet_batches(parquet, path))


def read_arrow(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows of an Arrow file or stream, memory-mapped.

    Raises:
        DataError: not Arrow, or damaged.
        ResourceError: pyarrow is not installed.
    """
    del options
    arrow = require("pyarrow", extra="data")
    return _rows(path, lambda: _arrow_batches(arrow, path))


def _parquet_batches(parquet: Any, path: Path) -> Iterator[Any]:
    """A row group after the other: asked for all at once, pyarrow fetches ahead and holds much of the file."""
    with parquet.ParquetFile(path, pre_buffer=False) as opened:
        for group in range(opened.num_row_groups):
            yield from opened.iter_batches(_BATCH_ROWS, row_groups=[group])


def _arrow_batches(arrow: Any, path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        whole = file.read(len(_ARROW_FILE_MAGIC)) == _ARROW_FILE_MAGIC
    with arrow.memory_map(str(path)) as source:
        if whole:
            opened = arrow.ipc.open_file(source)
            for index in range(opened.num_record_batches):
                yield opened.get_batch(index)
        else:
            yield from arrow.ipc.open_stream(source)


def _rows(path: Path, batches: Any) -> Iterator[Row]:
    arrow = require("pyarrow", extra="data")
    number = 0
    try:
        for batch in _small(batches()):
            for fields in batch.to_pylist():
                number += 1
                yield Row(fields, f"{path}:{number}")
    except (arrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read after row {number}: {error}",
            expected=f"a whole {path.suffix.lstrip('.')} file",
            do="Write the file again, or check that its suffix names its format.",
        ) from error


def _small(batches: Iterable[Any]) -> Iterator[Any]:
    """Batches cut to a size that is cheap to hold as Python objects."""
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)
