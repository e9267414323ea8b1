"""The tables of ``penjing.db``. Migration n takes a database from ``user_version`` n to n + 1; none is ever edited.

The triggers keep the promise of the ledger against any writer, not only against this code: no entry is changed or
dropped, and a new one must follow the last.
"""

from __future__ import annotations

GENESIS = "0" * 64  # what the first entry gives as the hash before it

_FIRST = (
    """CREATE TABLE ledger (
        sequence INTEGER PRIMARY KEY,
        time     TEXT NOT NULL,
        kind     TEXT NOT NULL,
        subject  TEXT NOT NULL,
        facts    TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash     TEXT NOT NULL UNIQUE
    )""",
    "CREATE INDEX ledger_by_subject ON ledger (subject)",
    """CREATE TRIGGER ledger_keeps_its_entries BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_drops_no_entry BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_does_not_fork BEFORE INSERT ON ledger
    WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM ledger)
      OR NEW.previous IS NOT coalesce((SELECT hash FROM ledger ORDER BY sequence DESC LIMIT 1), printf('%064d', 0))
    BEGIN SELECT RAISE(ABORT, 'a ledger entry must follow the last one'); END""",
    """CREATE TABLE aliases (
        model   TEXT NOT NULL,
        name    TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        entry   INTEGER NOT NULL REFERENCES ledger (sequence),
        PRIMARY KEY (model, name)
    ) WITHOUT ROWID""",
)

MIGRATIONS = (_FIRST,)
