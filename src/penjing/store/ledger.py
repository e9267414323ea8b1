"""The ledger: an append-only record in which each entry carries the hash of the one before.

Promises: entries cannot be changed or dropped through SQL, and any change made behind SQL's back is found by
``verify``; times never run backwards, even when the clock does; processes that append at once wait for each other,
so the chain never forks. Trade: entries cut off at the end leave a shorter chain that is sound in itself. To see
that too, keep the last hash somewhere else and give it to ``verify``.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from penjing.core.errors import StoreError, UsageError
from penjing.core.files import canonical_json, digest
from penjing.core.nouns import Frozen
from penjing.store.database import Database
from penjing.store.schema import GENESIS

_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Entry(Frozen):
    """One line of the ledger.

    Attributes:
        sequence: 1 for the first entry, then one more for each.
        time: UTC, ISO 8601 with microseconds; never less than that of the entry before.
        kind: what happened, such as ``version-published``.
        subject: to what, such as ``newsgroups/2`` or ``newsgroups@stable``.
        facts: the particulars, as JSON.
        previous: hash of the entry before; 64 zeros in the first.
        hash: hex SHA-256 of all other fields in canonical JSON.
    """

    sequence: int
    time: str
    kind: str
    subject: str
    facts: dict[str, Any]
    previous: str
    hash: str


class Ledger:
    """The ledger of one store.

    Args:
        database: where it is kept.
        clock: tells the time of new entries.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def append(self, kind: str, subject: str, facts: Mapping[str, Any] | None = None) -> Entry:
        """Add one entry; it is durable on return.

        Raises:
            UsageError: the kind is no plain lower-case word or the facts are not JSON.
            StoreError, ResourceError: as :meth:`Database.write`.
        """
        with self._database.write() as connection:
            return self.append_within(connection, kind=kind, subject=subject, facts=facts or {})

    def append_within(
        self, connection: sqlite3.Connection, *, kind: str, subject: str, facts: Mapping[str, Any]
    ) -> Entry:
        """Add one entry in a transaction that the caller holds, so that it lasts if and only if the rest does.

        Raises:
            UsageError: the kind is no plain lower-case word or the facts are not JSON.
        """
        if not _KIND.fullmatch(kind) or not subject or not subject.isprintable():
            raise UsageError(
                f"ledger entry {kind!r} on {subject!r}", expected="a kind such as 'run-ended', and a subject"
            )
        last = connection.execute("SELECT * FROM ledger ORDER BY sequence DESC LIMIT 1").fetchone()
        now = self._clock().astimezone(UTC).isoformat(timespec="microseconds")
        fields = {
            "sequence": last["sequence"] + 1 if last else 1,
            "time": max(now, last["time"]) if last else now,
            "kind": kind,
            "subject": subject,
            "facts": _plain(facts),
            "previous": last["hash"] if last else GENESIS,
        }
        entry = Entry.model_validate({**fields, "hash": digest(fields)})
        row = {**entry.model_dump(), "facts": canonical_json(entry.facts).decode()}
        connection.execute(
            "INSERT INTO ledger VALUES (:sequence, :time, :kind, :subject, :facts, :previous, :hash)", row
        )
        return entry

    def entries(self, *, kind: str | None = None, subject: str | None = None, limit: int | None = None) -> list[Entry]:
        """Entries in the order they were made; with ``limit``, the newest so many of them."""
        query = (
            "SELECT * FROM ledger WHERE (:kind IS NULL OR kind = :kind) AND (:subject IS NULL OR subject = :subject)"
            " ORDER BY sequence DESC LIMIT coalesce(:limit, -1)"
        )
        with self._database.read() as connection:
            rows = connection.execute(query, {"kind": kind, "subject": subject, "limit": limit}).fetchall()
        return [_entry(row) for row in reversed(rows)]

    def verify(self, *, containing: str | None = None) -> int:
        """Check the whole chain.

        Args:
            containing: a hash that was noted elsewhere and must be in it.

        Returns:
            How many entries there are.

        Raises:
            StoreError: names the first entry that is missing or not as it was written.
        """
        previous, time, count, seen = GENESIS, "", 0, containing in (None, GENESIS)
        with self._database.read() as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            for count, row in enumerate(connection.execute("SELECT * FROM ledger ORDER BY sequence"), start=1):
                if fault := _fault(row, count, previous=previous, time=time):
                    raise _broken(f"ledger entry {count} {fault}")
                previous, time = row["hash"], row["time"]
                seen = seen or previous == containing
        if not seen:
            raise _broken(f"the ledger ends at entry {count} without the hash {containing}")
        return count


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as JSON gives them back, so that the hash of what is read is the hash of what was written."""
    try:
        text = json.dumps(dict(facts), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"facts of a ledger entry: {error}", expected="plain JSON values, finite numbers") from error
    return json.loads(text)  # type: ignore[no-any-return]


def _entry(row: sqlite3.Row) -> Entry:
    try:
        return Entry.model_validate({**dict(row), "facts": json.loads(row["facts"])})
    except (TypeError, ValueError) as error:
        raise _broken(f"ledger entry {row['sequence']} cannot be read") from error


def _fault(row: sqlite3.Row, number: int, *, previous: str, time: str) -> str:
    """What is wrong with an entry; empty if nothing is."""
    if row["sequence"] != number:
        return f"is missing: the next one is {row['sequence']!r}"
    try:
        fields = {**dict(row), "facts": json.loads(row["facts"])}
        stated = fields.pop("hash")
        sound = digest(fields) == stated and canonical_json(fields["facts"]).decode() == row["facts"]
    except (TypeError, ValueError, RecursionError):
        return "cannot be read"
    if not sound:
        return "is not as it was written: its hash does not fit its content"
    if row["previous"] != previous:
        return "does not follow from the entry before it"
    return "is older than the entry before it" if row["time"] < time else ""


def _broken(came: str) -> StoreError:
    return StoreError(
        came,
        expected="an unbroken chain",
        do="Restore penjing.db from a backup, and find out who could write to it.",
    )
