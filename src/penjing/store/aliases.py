"""Aliases: names such as ``stable`` that lead to a version and can be moved.

Promise: an alias and the ledger entry of its change are written in one transaction, and an alias leads to a version
that exists: the store refuses to remove one that is pointed at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from penjing.core.errors import ConflictError
from penjing.store.database import Database
from penjing.store.layout import existing_version
from penjing.store.ledger import Entry, Ledger
from penjing.store.references import Reference, check_alias_name, check_model_name, unknown

Facts = Mapping[str, Any]
ALIAS_SET = "alias-set"
ALIAS_DELETED = "alias-deleted"


class Expect(Enum):
    """What a change may ask of the alias besides a version number."""

    ABSENT = "absent"


class Aliases:
    """The aliases of one store.

    Args:
        root: the store's directory.
        database: where they are kept.
        ledger: where changes are recorded.
    """

    def __init__(self, root: Path, database: Database, *, ledger: Ledger) -> None:
        self._root = root
        self._database = database
        self._ledger = ledger

    def of(self, model: str) -> dict[str, int]:
        """Alias → version, sorted by name."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT name, version FROM aliases WHERE model = ? ORDER BY name", (model,))
            return {row["name"]: row["version"] for row in rows}

    def get(self, model: str, name: str) -> int:
        """The version that the alias leads to.

        Raises:
            NotFoundError: there is no such alias.
        """
        known = self.of(model)
        if name not in known:
            raise unknown("alias", name, known=known, place=f"model '{model}'")
        return known[name]

    def set(
        self, model: str, name: str, *, version: int, expect: int | Expect | None = None, facts: Facts | None = None
    ) -> Entry:
        """Point the alias at a version.

        Args:
            model: whose alias.
            name: of the alias.
            version: where it shall lead.
            expect: where it must lead until now, or ``Expect.ABSENT``; None asks nothing.
            facts: the reason, kept in the ledger beside ``from`` and ``to``.

        Returns:
            The ledger entry of the change.

        Raises:
            ConflictError: the alias is not where ``expect`` says.
            NotFoundError: there is no such version.
            UsageError: the name cannot be an alias.
        """
        alias = Reference(check_model_name(model), check_alias_name(name))
        with self._database.write() as connection:
            existing_version(self._root, model, version=version)
            before = _current(connection, alias, expect=expect)
            entry = self._ledger.append_within(
                connection, kind=ALIAS_SET, subject=str(alias), facts={**(facts or {}), "from": before, "to": version}
            )
            connection.execute("REPLACE INTO aliases VALUES (?, ?, ?, ?)", (model, name, version, entry.sequence))
            return entry

    def delete(self, model: str, name: str, *, expect: int | None = None, facts: Facts | None = None) -> Entry:
        """Take the alias away. Arguments as for ``set``.

        Raises:
            ConflictError: the alias is not where ``expect`` says.
            NotFoundError: there is no such alias.
        """
        alias = Reference(check_model_name(model), check_alias_name(name))
        with self._database.write() as connection:
            before = _current(connection, alias, expect=expect)
            if before is None:
                raise unknown("alias", name, known=_names(connection, model), place=f"model '{model}'")
            connection.execute("DELETE FROM aliases WHERE model = ? AND name = ?", (model, name))
            return self._ledger.append_within(
                connection, kind=ALIAS_DELETED, subject=str(alias), facts={**(facts or {}), "from": before, "to": None}
            )


def names_of(connection: sqlite3.Connection, model: str, *, version: int) -> list[str]:
    """The aliases that lead to a version."""
    rows = connection.execute(
        "SELECT name FROM aliases WHERE model = ? AND version = ? ORDER BY name", (model, version)
    )
    return [row["name"] for row in rows]


def _names(connection: sqlite3.Connection, model: str) -> list[str]:
    rows = connection.execute("SELECT name FROM aliases WHERE model = ? ORDER BY name", (model,))
    return [row["name"] for row in rows]


def _current(connection: sqlite3.Connection, alias: Reference, *, expect: int | Expect | None) -> int | None:
    row = connection.execute("SELECT version FROM aliases WHERE model = ? AND name = ?", alias).fetchone()
    current: int | None = row["version"] if row else None
    wanted = None if expect is Expect.ABSENT else expect
    if expect is not None and current != wanted:
        raise ConflictError(
            f"alias {alias} {f'leads to version {current}' if current else 'does not exist'}",
            expected=f"version {wanted}" if wanted else "no such alias yet",
            do="Look at what changed it (the ledger says), then decide again.",
        )
    return current
