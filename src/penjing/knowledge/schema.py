"""The tables of a knowledge base. Migration n takes a file from ``user_version`` n to n + 1; none is ever edited."""

from __future__ import annotations

_FIRST = (
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE documents (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        name     TEXT NOT NULL UNIQUE,
        title    TEXT NOT NULL,
        text     TEXT NOT NULL,
        answer   TEXT,
        pages    TEXT NOT NULL,
        source   TEXT NOT NULL,
        digest   TEXT NOT NULL,
        added    TEXT NOT NULL
    )""",
    # AUTOINCREMENT: a number that was given out never comes again, so readers know new passages by their number.
    """CREATE TABLE chunks (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents (number) ON DELETE CASCADE,
        "begin"  INTEGER NOT NULL,
        "end"    INTEGER NOT NULL,
        vector   BLOB
    )""",
    "CREATE INDEX chunks_by_document ON chunks (document)",
    "CREATE VIRTUAL TABLE terms USING fts5 (title, body, tokenize = 'porter unicode61 remove_diacritics 2')",
)

MIGRATIONS = (_FIRST,)
