"""What the ledger knows about versions, and how ledger and disk are brought to agree.

A version is renamed into place, or away, while the database is locked and before its entry is committed. A process
that dies in between leaves a version without an entry, or an entry without a version; so does a hand that copies or
deletes directories. Healing records what is there now. It never touches the versions.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from penjing.core.errors import ResourceError, StoreError
from penjing.core.files import sha256_file
from penjing.store.database import Database
from penjing.store.layout import model_folders, version_folders
from penjing.store.ledger import Ledger
from penjing.store.manifest import MANIFEST_NAME
from penjing.store.references import parse_version

PUBLISHED = "version-published"
REMOVED = "version-removed"
FOUND = "version-found"
MISSING = "version-missing"

_NEWEST = "SELECT subject, kind, max(sequence) FROM ledger WHERE kind IN (?, ?, ?, ?) GROUP BY subject"
_KINDS = (PUBLISHED, REMOVED, FOUND, MISSING)


def highest_ever(connection: sqlite3.Connection, model: str) -> int:
    """The highest version the model ever had, removed ones included, so that no number is given out twice."""
    known = (row["subject"].rpartition("/") for row in connection.execute(_NEWEST, _KINDS))
    return max((parse_version(version) or 0 for name, _, version in known if name == model), default=0)


def heal(root: Path, database: Database, *, ledger: Ledger) -> None:
    """Append an entry for each version that is on the disk but not in the ledger, or the reverse.

    A store that cannot be written now is left for a later opening to heal: reading it must not depend on that.

    Raises:
        StoreError: the database is broken or from a newer release.
    """
    try:
        with database.read() as connection:
            agreed = not any(_differences(root, connection))
    except ResourceError:
        return
    if agreed:
        return
    with suppress(StoreError, ResourceError), database.write() as connection:
        found, missing = _differences(root, connection)  # looked at again: a process may have been halfway
        for subject in sorted(found):
            with suppress(OSError):
                facts = {"manifest": sha256_file(found[subject])}
                ledger.append_within(connection, kind=FOUND, subject=subject, facts=facts)
        for subject in sorted(missing):
            ledger.append_within(connection, kind=MISSING, subject=subject, facts={})


def _differences(root: Path, connection: sqlite3.Connection) -> tuple[dict[str, Path], set[str]]:
    """Manifests that the ledger does not know, by reference, and references it knows that are gone."""
    newest = connection.execute(_NEWEST, _KINDS)
    known = {row["subject"] for row in newest if row["kind"] in (PUBLISHED, FOUND)}
    there = {
        f"{folder.name}/{version}": path / MANIFEST_NAME
        for folder in model_folders(root)
        for version, path in version_folders(folder).items()
        if (path / MANIFEST_NAME).is_file()
    }
    return {subject: there[subject] for subject in there.keys() - known}, known - there.keys()
