"""A knowledge base in one SQLite file: documents, their passages, words and vectors.

Promises: a document is there whole with all its passages, or as it was before, whatever is killed at whatever moment;
one process writes at a time and the others wait for it; readers never wait. Trade: dense search compares with every
vector, exactly, in memory; past some hundred thousand passages an engine of that trade is the better place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from penjing.knowledge.commonness import Commonness
from penjing.knowledge.documents import page_at
from penjing.knowledge.keeping import Hit, Listed, Passage, Prepared, no_base, no_document
from penjing.knowledge.schema import MIGRATIONS
from penjing.knowledge.terms import indexed, match_terms
from penjing.knowledge.vectors import Vectors
from penjing.store.database import Database

Floats = npt.NDArray[np.float32]
_TITLE_WEIGHT, _BODY_WEIGHT = 1.0, 1.0
_GENERATION = "generation"
_AT_ONCE = 500  # names or numbers in one statement


@final
class KnowledgeBase:
    """See the module and :class:`penjing.knowledge.keeping.Base`.

    Args:
        path: the file; made by the first document.
        busy_timeout_s: how long to wait for another writer.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 30.0) -> None:
        self.path = path
        self._database = Database(path, busy_timeout_s=busy_timeout_s, migrations=MIGRATIONS)
        self._vectors, self._commonness = Vectors(), Commonness()

    @property
    def place(self) -> str:
        """See :class:`penjing.knowledge.keeping.Base`."""
        return str(self.path)

    def must_exist(self) -> None:
        """Raise NotFoundError unless a document was ever added."""
        if not self.path.is_file():
            raise no_base(self.place)

    def settings(self) -> dict[str, Any]:
        """What was kept by :meth:`keep`; nothing where there is no file."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT name, value FROM settings").fetchall()
        return {row["name"]: json.loads(row["value"]) for row in rows}

    def keep(self, settings: Mapping[str, Any]) -> None:
        """Keep settings, each as JSON, beside those of other names."""
        with self._database.write() as connection:
            for name, value in settings.items():
                _keep(connection, name, value)

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """The digest of each document that is there."""
        asked, found = list(names), {}
        with self._database.read() as connection:
            for at in range(0, len(asked), _AT_ONCE):
                some = asked[at : at + _AT_ONCE]
                sql = f"SELECT name, digest FROM documents WHERE name IN ({_marks(some)})"  # noqa: S608  marks only
                found.update({row["name"]: row["digest"] for row in connection.execute(sql, some)})
        return found

    def put(self, prepared: Sequence[Prepared]) -> None:
        """Add documents, or put them in the place of those with their names: all of them or none."""
        if not prepared:
            return
        with self._database.write() as connection:
            for one in prepared:
                _delete(connection, one.document.name)
                _insert(connection, one)
            _next_generation(connection)

    def remove(self, names: Sequence[str]) -> None:
        """Remove documents: all of them or none.

        Raises:
            NotFoundError: one is not there.
        """
        self.must_exist()
        with self._database.write() as connection:
            for name in names:
                if not _delete(connection, name):
                    raise no_document(name, self.place)
            _next_generation(connection)

    def documents(self, *, after: str = "", most: int = -1) -> list[Listed]:
        """Documents by their ids, from behind the id ``after`` on."""
        with self._database.read() as connection:
            rows = connection.execute(_LIST, {"after": after, "most": most}).fetchall()
        return [
            Listed(
                row["name"], row["title"], row["source"], row["characters"], row["passages"],
                len(json.loads(row["pages"])), bool(row["is_answer"]), row["added"],
            )
            for row in rows
        ]  # fmt: skip

    def count(self) -> tuple[int, int]:
        """How many documents and passages there are."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM documents) AS d, (SELECT count(*) FROM chunks) AS c"
            ).fetchone()
        return int(row["d"]), int(row["c"])

    def text(self, name: str) -> str:
        """All of a document's text.

        Raises:
            NotFoundError: it is not there.
        """
        with self._database.read() as connection:
            row = connection.execute("SELECT text FROM documents WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise no_document(name, self.place)
        return str(row["text"])

    def by_words(self, question: str, *, most: int) -> list[Hit]:
        """Passages that share words with a question, by BM25, best first."""
        if not (terms := match_terms(question)):
            return []
        with self._database.read() as connection:
            connection.execute("BEGIN")  # one view of all tables
            weighed = self._commonness.weighed(terms, connection, generation=_generation(connection))
            found = _matching(connection, weighed, most=most)
            if len(found) < most and len(weighed) < len(terms):
                found = _matching(connection, terms, most=most)
        return found

    def by_vector(self, vector: Floats, *, most: int) -> list[Hit]:
        """Passages that mean the like, by cosine, best first."""
        with self._database.read() as connection:
            connection.execute("BEGIN")  # one view of all tables
            self._vectors.follow(connection, generation=_generation(connection))
        return [Hit(chunk, score) for chunk, score in self._vectors.nearest(vector, most=most)]

    def cosines(self, vector: Floats, chunks: Sequence[int]) -> dict[int, float]:
        """How near some passages are, as of the last :meth:`by_vector`."""
        return self._vectors.cosines(vector, chunks)

    def passages(self, chunks: Sequence[int]) -> list[Passage]:
        """Passages by their numbers, in that order; those that were removed meanwhile are left out."""
        with self._database.read() as connection:
            sql = f"{_PASSAGES} WHERE chunks.number IN ({_marks(chunks)})"
            found = {row["number"]: _passage(row) for row in connection.execute(sql, list(chunks))}
        return [found[chunk] for chunk in chunks if chunk in found]

    def close(self) -> None:
        """See :class:`penjing.knowledge.keeping.Base`. A connection lives for one call, so there is nothing to do."""


_LIST = """SELECT name, title, source, pages, added, length(text) AS characters, answer IS NOT NULL AS is_answer,
    (SELECT count(*) FROM chunks WHERE chunks.document = documents.number) AS passages
    FROM documents WHERE name > :after ORDER BY name LIMIT :most"""
_MATCH = "SELECT rowid, bm25(terms, ?, ?) AS score FROM terms WHERE terms MATCH ? ORDER BY score LIMIT ?"
_PASSAGES = """SELECT chunks.number, name, title, source, pages, answer, "begin", "end",
    substr(text, "begin" + 1, "end" - "begin") AS body
    FROM chunks JOIN documents ON documents.number = chunks.document"""


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _generation(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_GENERATION,)).fetchone()
    return int(row["value"]) if row else 0


def _next_generation(connection: sqlite3.Connection) -> None:
    _keep(connection, _GENERATION, _generation(connection) + 1)


def _keep(connection: sqlite3.Connection, name: str, value: Any) -> None:
    connection.execute(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, json.dumps(value, ensure_ascii=False)),
    )


def _matching(connection: sqlite3.Connection, terms: Sequence[str], *, most: int) -> list[Hit]:
    if not terms:
        return []
    rows = connection.execute(_MATCH, (_TITLE_WEIGHT, _BODY_WEIGHT, " OR ".join(terms), most))
    return [Hit(row["rowid"], -row["score"]) for row in rows]


def _delete(connection: sqlite3.Connection, name: str) -> bool:
    row = connection.execute("SELECT number FROM documents WHERE name = ?", (name,)).fetchone()
    if row is None:
        return False
    number = (row["number"],)
    connection.execute("DELETE FROM terms WHERE rowid IN (SELECT number FROM chunks WHERE document = ?)", number)
    connection.execute("DELETE FROM documents WHERE number = ?", number)
    return True


def _insert(connection: sqlite3.Connection, prepared: Prepared) -> None:
    document = prepared.document
    kept = (
        document.name, document.title, document.text, document.answer, json.dumps(document.pages), document.source,
        document.digest, datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    columns = "name, title, text, answer, pages, source, digest, added"
    number = connection.execute(f"INSERT INTO documents ({columns}) VALUES ({_marks(kept)})", kept).lastrowid  # noqa: S608
    title = indexed(document.title)
    for at, chunk in enumerate(prepared.chunks):
        vector = None if prepared.vectors is None else prepared.vectors[at].astype("<f4").tobytes()
        row = connection.execute(
            'INSERT INTO chunks (document, "begin", "end", vector) VALUES (?, ?, ?, ?)',
            (number, chunk.begin, chunk.end, vector),
        )
        body = indexed(document.text[chunk.begin : chunk.end])
        connection.execute("INSERT INTO terms (rowid, title, body) VALUES (?, ?, ?)", (row.lastrowid, title, body))


def _passage(row: sqlite3.Row) -> Passage:
    pages = tuple(json.loads(row["pages"]))
    return Passage(
        row["number"], row["name"], row["title"], row["source"], row["begin"], row["end"],
        page_at(pages, row["begin"]), pages, row["body"], row["answer"],
    )  # fmt: skip
