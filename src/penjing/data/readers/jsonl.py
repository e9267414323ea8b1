"""JSON lines, and ``.json`` files that hold an array of objects, SQuAD's object or, as is common, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import text_lines, whole_text
from penjing.data.readers.options import ReadOptions
from penjing.data.readers.squad import is_squad, squad_rows


def read_json_lines(path: Path, options: ReadOptions) -> Iterator[Row]:
    """One object a line, read one at a time; blank lines are passed over.

    Raises:
        DataError: a line is not JSON or not an object.
    """
    for number, line in enumerate(text_lines(path, options), start=1):
        if line.strip():
            origin = f"{path}:{number}"
            yield _row(_parse(line, origin), origin)


def read_json(path: Path, options: ReadOptions) -> Iterator[Row]:
    """An array of objects or SQuAD's object, read whole; anything else is taken as JSON lines."""
    start = next((line.strip() for line in text_lines(path, options) if line.strip()), "")
    if not start.startswith("["):
        document = _object(start, path, options)
        yield from read_json_lines(path, options) if document is None else squad_rows(document, path)
        return
    for index, item in enumerate(_parse(whole_text(path, options), str(path))):
        yield _row(item, f"{path}[{index}]")


def _object(start: str, path: Path, options: ReadOptions) -> Any:
    """SQuAD's object, if the file holds that, on one line or on many; else None.

    Args:
        start: the first line: a whole object in JSON lines.
        path: of the file.
        options: how to read it.
    """
    try:
        document = json.loads(start)
    except (ValueError, RecursionError):
        try:
            document = json.loads(whole_text(path, options))
        except (ValueError, RecursionError):
            return None
    return document if is_squad(document) else None


def _parse(text: str, origin: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also integers of thousands of digits
        raise DataError(
            f"{origin} is not JSON: {error}", expected="one JSON object a line, or one array of objects"
        ) from error


def _row(value: object, origin: str) -> Row:
    if not isinstance(value, dict):
        kind = {list: "an array", str: "a string", type(None): "null"}.get(
            type(value), f"of type {type(value).__name__}"
        )
        raise DataError(f"{origin} is {kind}", expected='an object, such as {"text": "…", "label": "…"}')
    return Row(value, origin)
