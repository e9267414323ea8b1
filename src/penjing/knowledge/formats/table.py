"""Tables, CSV, JSON lines or JSON: a row is a question with its answer, or a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.knowledge.documents import Document
from penjing.knowledge.recipe import DocumentsRecipe


def read_table(path: Path, told: DocumentsRecipe) -> Iterator[Document]:
    """A document a row. Its id is the file with the row's own id, or else its number, behind a ``#``.

    Raises:
        DataError: the columns are of neither kind, a cell is blank, or an id comes twice.
    """
    from penjing.data.readers.options import ReadOptions
    from penjing.data.sources import READERS

    options = ReadOptions(encoding=told.encoding, encoding_errors=told.encoding_errors)
    seen: dict[str, str] = {}
    for number, row in enumerate(READERS[path.suffix.lower()](path, options), start=1):
        own = _cell(row.fields, told.id)
        name = f"{path.as_posix()}#{own or number}"
        if name in seen:
            raise DataError(
                f"{row.origin} has the id {own!r}", expected="each id once", do=f"See {seen[name]}, which has it too."
            )
        seen[name] = row.origin
        yield _document(row.fields, told, name=name, origin=row.origin)
    if not seen:
        raise DataError(f"{path} has no rows", expected="at least one")


def _document(fields: Mapping[str, Any], told: DocumentsRecipe, *, name: str, origin: str) -> Document:
    title = _cell(fields, told.title)
    if told.question in fields and told.answer in fields:
        question, answer = (_needed(fields, column, origin) for column in (told.question, told.answer))
        return Document(name, question, title, answer=answer, source=origin)
    if told.text in fields:
        return Document(name, _needed(fields, told.text, origin), title, source=origin)
    raise DataError(
        f"{origin} has the columns {', '.join(map(str, fields)) or 'none'}",
        expected=f"{told.question} and {told.answer}, or {told.text}",
        do="Name yours: documents.question, documents.answer or documents.text.",
    )


def _needed(fields: Mapping[str, Any], column: str, origin: str) -> str:
    if said := _cell(fields, column):
        return said
    raise DataError(f"the {column} of {origin} is blank", expected="some text")


def _cell(fields: Mapping[str, Any], column: str) -> str:
    value = fields.get(column)
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value).strip()
    raise DataError(f"the column {column} holds {type(value).__name__}", expected="text")
