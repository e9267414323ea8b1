"""A knowledge base in PostgreSQL with pgvector, by URL: for bases too large for one file, or shared by machines.

Promises what :mod:`penjing.knowledge.keeping` asks, by the server's transactions. Each base has a schema of its own.
Trade: vectors are found by an approximate index (HNSW) instead of by comparing all; what it misses is measured in
docs/decisions/0020.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from penjing.core.errors import NotFoundError, StoreError
from penjing.knowledge import postgres_schema as sql
from penjing.knowledge.documents import page_at
from penjing.knowledge.keeping import Hit, Listed, Passage, Prepared, no_base, no_document
from penjing.knowledge.postgres_link import Address, Link
from penjing.knowledge.postgres_writing import delete, enable_vectors, insert, keep, stems_of, written
from penjing.knowledge.terms import asked_of

if TYPE_CHECKING:
    from penjing.knowledge.postgres_link import Connection

Floats = npt.NDArray[np.float32]
_DIMENSIONS, _SCHEMA = "dimensions", "schema"
_OWN = frozenset({_DIMENSIONS, _SCHEMA})
_LAST = "\U0010ffff"  # sorts behind all that may follow


@final
class PostgresBase:
    """See the module and :class:`penjing.knowledge.keeping.Base`.

    Args:
        address: where it lies; its tables are made by the first that is kept.
        busy_timeout_s: how long to wait for another writer.
    """

    def __init__(self, address: Address, *, busy_timeout_s: float = 30.0) -> None:
        self._address, self._link = address, Link(address, busy_timeout_s=busy_timeout_s)

    @property
    def place(self) -> str:
        """See :class:`penjing.knowledge.keeping.Base`."""
        return self._address.place

    def must_exist(self) -> None:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if not self._settings():
            raise no_base(self.place)

    def settings(self) -> dict[str, Any]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        return {name: value for name, value in self._settings().items() if name not in _OWN}

    def keep(self, settings: Mapping[str, Any]) -> None:
        """See :class:`penjing.knowledge.keeping.Base`."""
        with self._link.write() as connection:
            self._make(connection)
            keep(connection, settings)

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if not self._settings():
            return {}
        with self._link.read() as connection:
            found = connection.execute("SELECT name, digest FROM documents WHERE name = ANY(%s)", (list(names),))
            return {str(name): str(digest) for name, digest in found}

    def put(self, prepared: Sequence[Prepared]) -> None:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if not prepared:
            return
        with self._link.write() as connection:
            self._make(connection)
            self._make_room(connection, prepared)
            delete(connection, [one.document.name for one in prepared])
            insert(connection, prepared)

    def remove(self, names: Sequence[str]) -> None:
        """See :class:`penjing.knowledge.keeping.Base`."""
        with self._link.write() as connection:
            there = delete(connection, names)
            for name in names:
                if name not in there:
                    raise no_document(name, self.place)

    def documents(self, *, after: str = "", most: int = -1) -> list[Listed]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        with self._link.read() as connection:
            rows = connection.execute(sql.LIST, {"after": after, "most": None if most < 0 else most})
            return [
                Listed(name, title, source, characters, passages, len(json.loads(pages)), is_answer, added)
                for name, title, source, characters, passages, pages, is_answer, added in rows
            ]

    def count(self) -> tuple[int, int]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if not self._settings():
            return 0, 0
        with self._link.read() as connection:
            found = connection.execute("SELECT (SELECT count(*) FROM documents), chunks FROM totals").fetchone()
        return (int(found[0]), int(found[1])) if found else (0, 0)

    def text(self, name: str) -> str:
        """See :class:`penjing.knowledge.keeping.Base`."""
        with self._link.read() as connection:
            found = connection.execute("SELECT text FROM documents WHERE name = %s", (name,)).fetchone()
        if found is None:
            raise no_document(name, self.place)
        return str(found[0])

    def by_words(self, question: str, *, most: int) -> list[Hit]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        asked = asked_of(question)
        with self._link.read() as connection:
            stems = stems_of(connection, asked)
            ranges = {stem: _LAST if asked[term] else "" for term, stem in stems.items() if stem}
            weights, average = _weights(connection, ranges)
            bounds = {
                "firsts": list(weights),
                "lasts": [term + ranges[term] for term in weights],
                "weights": list(weights.values()),
            }
            told = {**bounds, "average": average, "most": most, "k1": sql.K1, "b": sql.B}
            rows = connection.execute(sql.BM25, told).fetchall() if weights else []
        return [Hit(chunk, score) for chunk, score in rows]

    def by_vector(self, vector: Floats, *, most: int) -> list[Hit]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if _DIMENSIONS not in self._settings():
            return []
        with self._link.read() as connection, connection.transaction():
            _look_far(connection, most)
            rows = connection.execute(sql.NEAREST, {"vector": written(vector), "most": most}).fetchall()
        return [Hit(chunk, cosine) for chunk, cosine in rows if not math.isnan(cosine)]

    def cosines(self, vector: Floats, chunks: Sequence[int]) -> dict[int, float]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        if not chunks:
            return {}
        with self._link.read() as connection:
            rows = connection.execute(sql.COSINES, {"vector": written(vector), "chunks": list(chunks)})
            found = {int(chunk): float(cosine) for chunk, cosine in rows}
        return {chunk: found[chunk] for chunk in chunks if chunk in found}

    def passages(self, chunks: Sequence[int]) -> list[Passage]:
        """See :class:`penjing.knowledge.keeping.Base`."""
        with self._link.read() as connection:
            found = {row[0]: _passage(row) for row in connection.execute(sql.PASSAGES, (list(chunks),))}
        return [found[chunk] for chunk in chunks if chunk in found]

    def close(self) -> None:
        """Close idle connections. Idempotent."""
        self._link.close()

    def _settings(self) -> dict[str, Any]:
        try:
            with self._link.read() as connection:
                found = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        except NotFoundError:
            return {}
        if (version := found.get(_SCHEMA, sql.VERSION)) > sql.VERSION:
            raise StoreError(
                f"{self.place} has schema {version}", expected=f"at most {sql.VERSION}", do="Upgrade Penjing."
            )
        return found

    def _make(self, connection: Connection) -> None:
        """The tables, where they are not there."""
        own = self._address.schema
        is_there = connection.execute("SELECT to_regclass(%s)", (f"{own}.settings",)).fetchone()
        if is_there != (None,):
            return
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {own}")
        for statement in sql.CREATE:
            connection.execute(statement)
        keep(connection, {_SCHEMA: sql.VERSION})

    def _make_room(self, connection: Connection, prepared: Sequence[Prepared]) -> None:
        """The column of vectors, where the first ones come."""
        sizes = {one.vectors.shape[1] for one in prepared if one.vectors is not None and len(one.vectors)}
        kept = connection.execute("SELECT value FROM settings WHERE name = %s", (_DIMENSIONS,)).fetchone()
        if kept is None and len(sizes) == 1:
            (dimensions,) = sizes
            enable_vectors(connection, self.place)
            connection.execute(sql.ADD_VECTORS.format(dimensions=int(dimensions)))
            if dimensions <= sql.HNSW_MOST:
                connection.execute(sql.INDEX_VECTORS)
            keep(connection, {_DIMENSIONS: dimensions})
        elif len(sizes | {kept[0]} if kept else sizes) > 1:
            raise StoreError(
                f"{self.place} holds vectors of {kept[0] if kept else 'no'} numbers, and {sorted(sizes)} came",
                expected="one size",
                do="Make another base, from all documents.",
            )


def _look_far(connection: Connection, most: int) -> None:
    """How much of the index one search looks at; more finds more, and takes longer."""
    connection.execute("SELECT set_config('hnsw.ef_search', %s, true)", (str(min(1000, max(100, 4 * most))),))


def _weights(connection: Connection, ranges: Mapping[str, str]) -> tuple[dict[str, float], float]:
    """Inverse document frequencies of a question's terms, rarest first; and how many terms a passage has on average."""
    totals = connection.execute("SELECT chunks, terms FROM totals").fetchone()
    chunks, terms = totals or (0, 0)
    told = {
        "firsts": list(ranges),
        "lasts": [one + end for one, end in ranges.items()],
        "cap": sql.MOST_POSTINGS + 1,
    }
    counts = sorted(connection.execute(sql.COUNTS, told).fetchall(), key=lambda row: (row[1], row[0]))
    weights: dict[str, float] = {}
    touched = 0
    for term, found in counts:
        touched += found
        if found and (touched <= sql.MOST_POSTINGS or not weights):
            weights[term] = max(1e-6, math.log((max(chunks, found) - found + 0.5) / (found + 0.5)))
    return weights, max(1.0, terms / max(1, chunks))


def _passage(row: Sequence[Any]) -> Passage:
    number, name, title, source, begin, end, pages, text, answer = row
    at = tuple(json.loads(pages))
    return Passage(number, name, title, source, begin, end, page_at(at, begin), at, text, answer)
