"""Answers to many texts in a file: JSON lines, CSV or Parquet, by the name's ending.

Promises: the file appears whole or not at all, a row a text, in their order; memory does not grow with the
texts; killed at any moment and called again for the same answers, the work goes on where it was. Price: until
the end the rows lie in ``.NAME.part`` beside it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from penjing.app.answer_rows import Row, arrow_row, arrow_schema, flat
from penjing.core.errors import DataError
from penjing.core.extras import require
from penjing.core.files import cannot_write, canonical_json, fsync_directory
from penjing.core.progress import SILENT, Progress

WINDOW = 1024  # rows between two syncs; what was begun of a window is done again, as it was done the first time


def write_answers(
    path: Path,
    rows_after: Callable[[int], Iterator[Row]],
    *,
    identity: str | None,
    total: int = 0,
    progress: Progress = SILENT,
) -> int:
    """Write all rows.

    Args:
        path: what is there already is replaced, in the end.
        rows_after: the rows of all texts but so many first ones.
        identity: equal for equal answers; None never goes on from an earlier call.
        total: rows to come, for the progress; 0 if it is not known.
        progress: where to show it.

    Returns:
        How many rows an earlier call had left.

    Raises:
        ResourceError: the disk refused it; called again, it goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("r+b" if part.exists() else "w+b") as file:
            done = _go_on(file, identity)
            shown = progress if total else SILENT
            with shown.stage("Answering", total=max(total - done, 1)) as stage:
                for window in _windows(rows_after(done)):
                    file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in window)
                    file.flush()
                    os.fsync(file.fileno())
                    stage.advance(len(window))
        _finish(part, path)
    except DataError:
        part.unlink(missing_ok=True)  # the same texts would fail again
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if identity is None:
            part.unlink(missing_ok=True)
    return done


def _go_on(file: BinaryIO, identity: str | None) -> int:
    """Keep the whole windows of an earlier call for the same answers; where the file then ends is written next."""
    head = canonical_json({"answers": identity}) + b"\n"
    rows, end = 0, len(head)
    if identity is None or file.readline() != head:
        file.seek(0)
        file.truncate()
        file.write(head)
        return 0
    at = end
    for line in file:
        if not line.endswith(b"\n"):
            break
        rows, at = rows + 1, at + len(line)
        if rows % WINDOW == 0:
            end = at
    file.seek(end)
    file.truncate()
    return rows // WINDOW * WINDOW


def _finish(part: Path, path: Path) -> None:
    """Give the rows the form that the name asks for, and the name."""
    beside = path.with_name(f".{path.name}.whole")
    forms = {".csv": _to_csv, ".parquet": _to_parquet}
    try:
        forms.get(path.suffix.lower(), _to_json_lines)(part, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_directory(path.parent)
    finally:
        beside.unlink(missing_ok=True)
    part.unlink()


def _windows(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while window := list(islice(rows, WINDOW)):
        yield window


def _rows(part: Path) -> Iterator[Row]:
    with part.open("rb") as file:
        file.readline()
        for line in file:
            yield json.loads(line)


def _to_json_lines(part: Path, target: Path) -> None:
    with part.open("rb") as rows, target.open("wb") as file:
        rows.readline()
        file.writelines(rows)


def _to_csv(part: Path, target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, row in enumerate(map(flat, _rows(part))):
            if not number:
                writer.writerow(row)
            writer.writerow(row.values())


def _to_parquet(part: Path, target: Path) -> None:
    arrow, parquet = require("pyarrow", extra="data"), require("pyarrow.parquet", extra="data")
    schema = arrow_schema(next(_rows(part), {}))
    with parquet.ParquetWriter(target, schema) as writer:
        for rows in _windows(_rows(part)):
            writer.write_table(arrow.Table.from_pylist([arrow_row(row) for row in rows], schema))
