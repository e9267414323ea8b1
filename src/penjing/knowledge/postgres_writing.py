"""What is written to a base in PostgreSQL, each function within its caller's transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import StoreError
from penjing.knowledge import postgres_schema as sql
from penjing.knowledge.documents import Document
from penjing.knowledge.keeping import Prepared
from penjing.knowledge.terms import folded

if TYPE_CHECKING:
    from penjing.knowledge.postgres_link import Connection

Floats = npt.NDArray[np.float32]
_MOST_TIMES = 32_767
_PLAIN = 5  # columns of a passage without a vector


def enable_vectors(connection: Connection, place: str) -> None:
    """See that the database has pgvector.

    Raises:
        StoreError: the server has it not, or the user may not switch it on.
    """
    from psycopg import errors

    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
    except (errors.UndefinedFile, errors.FeatureNotSupported, errors.InsufficientPrivilege) as error:
        raise StoreError(
            f"the database of {place} has no pgvector: {' '.join(str(error).split())}",
            expected="the extension vector, 0.5 or newer",
            do="Install pgvector on the server, and let an administrator run: CREATE EXTENSION vector",
        ) from error


def keep(connection: Connection, settings: Mapping[str, Any]) -> None:
    """Keep settings, each as JSON."""
    for name, value in settings.items():
        connection.execute(
            "INSERT INTO settings VALUES (%s, %s::jsonb) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value, ensure_ascii=False)),
        )


def delete(connection: Connection, names: Sequence[str]) -> set[str]:
    """Delete documents with all they have; which of them were there."""
    found = connection.execute(
        "SELECT count(*), coalesce(sum(terms), 0) FROM chunks JOIN documents ON documents.number = document "
        "WHERE name = ANY(%s)",
        (list(names),),
    ).fetchone()
    rows = connection.execute("DELETE FROM documents WHERE name = ANY(%s) RETURNING name", (list(names),)).fetchall()
    connection.execute("UPDATE totals SET chunks = chunks - %s, terms = terms - %s", found)
    return {str(name) for (name,) in rows}


def insert(connection: Connection, prepared: Sequence[Prepared]) -> None:
    """Add documents that are not there with their passages, terms and vectors."""
    counted = _counted(connection, prepared)
    documents = _numbers(connection, "documents", len(prepared))
    numbers = iter(_numbers(connection, "chunks", sum(len(terms) for terms in counted)))
    chunks, postings = [], []
    for document, one, all_terms in zip(documents, prepared, counted, strict=True):
        for at, (chunk, terms) in enumerate(zip(one.chunks, all_terms, strict=True)):
            number, length = next(numbers), terms.total()
            vector = () if one.vectors is None else (written(one.vectors[at]),)
            chunks.append((number, document, chunk.begin, chunk.end, length, *vector))
            postings += [(term, number, min(times, _MOST_TIMES), length) for term, times in terms.items()]
    rows = [_row(number, one.document) for number, one in zip(documents, prepared, strict=True)]
    _copy(connection, "documents (number, name, title, text, answer, pages, source, digest, added)", rows)
    plain = 'chunks (number, document, "begin", "end", terms'
    _copy(connection, f"{plain})", [row for row in chunks if len(row) == _PLAIN])
    _copy(connection, f"{plain}, vector)", [row for row in chunks if len(row) > _PLAIN])
    _copy(connection, "postings (term, chunk, times, terms)", postings)
    totals = (len(chunks), sum(row[4] for row in chunks))
    connection.execute("UPDATE totals SET chunks = chunks + %s, terms = terms + %s", totals)


def _counted(connection: Connection, prepared: Sequence[Prepared]) -> list[list[Counter[str]]]:
    """How often each passage of each document has each term, with its document's title."""
    texts = [[[*title, *body] for body in _bodies(one)] for one in prepared for title in [folded(one.document.title)]]
    stems = stems_of(connection, {term for bodies in texts for body in bodies for term in body})
    return [[Counter(stem for term in body if (stem := stems[term])) for body in bodies] for bodies in texts]


def _bodies(prepared: Prepared) -> list[list[str]]:
    text = prepared.document.text
    return [folded(text[chunk.begin : chunk.end]) for chunk in prepared.chunks]


def stems_of(connection: Connection, terms: Iterable[str]) -> dict[str, str]:
    """Each term's stem; empty for words such as "the"."""
    rows = connection.execute(sql.STEMS, (list(terms),))
    return {term: (stems[0] if stems else "") if stems is not None else term for term, stems in rows}


def _numbers(connection: Connection, table: str, most: int) -> list[int]:
    """New numbers, ascending; none of them ever comes again."""
    asked = "SELECT nextval(pg_get_serial_sequence(%s, 'number')) FROM generate_series(1, %s)"
    return sorted(int(number) for (number,) in connection.execute(asked, (table, most)))


def _row(number: int, document: Document) -> tuple[Any, ...]:
    return (
        number, document.name, document.title, document.text, document.answer, json.dumps(document.pages),
        document.source, document.digest, datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _copy(connection: Connection, where: str, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    with connection.cursor().copy(f"COPY {where} FROM STDIN") as copying:
        for row in rows:
            copying.write_row(row)


def written(vector: Floats) -> str:
    """A vector as pgvector reads it."""
    return f"[{','.join(map(str, np.asarray(vector, np.float32).tolist()))}]"
