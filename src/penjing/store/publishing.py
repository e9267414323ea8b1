"""How versions come and go: a rename and a ledger entry that happen together.

The rename is made while the database is locked and taken back if the entry cannot be committed. Only a process that
dies between the two leaves a version without its entry, which ``history.heal`` then adds.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from penjing.core.errors import ConflictError, StoreError
from penjing.core.files import cannot_write, fsync_directory, fsync_tree, rename_new, write_atomically
from penjing.store.aliases import names_of
from penjing.store.bundle import Bundle
from penjing.store.contents import survey
from penjing.store.database import Database
from penjing.store.history import PUBLISHED, REMOVED, highest_ever
from penjing.store.layout import existing_version, version_folders
from penjing.store.ledger import Ledger
from penjing.store.manifest import (
    MANIFEST_NAME,
    FileRecord,
    Manifest,
    ManifestDraft,
    file_faults,
    manifest_bytes,
    parse_manifest,
)
from penjing.store.references import Reference
from penjing.store.staging import hidden_name


class Publisher:
    """Puts versions in place and takes them away.

    Args:
        root: the store's directory.
        database: whose lock keeps processes apart.
        ledger: where each change is recorded.
        clock: tells when a version was made.
    """

    def __init__(self, root: Path, database: Database, *, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def publish(self, path: Path, draft: ManifestDraft) -> Bundle:
        """Make the directory ``path`` the next version of the model it lies beside. See :meth:`Staging.publish`."""
        try:
            files = survey(path)
            _refuse_if_incomplete(draft, files)
            fsync_tree(path)
            with ExitStack() as undo:
                undo.callback((path / MANIFEST_NAME).unlink, missing_ok=True)
                with self._database.write() as connection:
                    highest = max(highest_ever(connection, path.parent.name), *version_folders(path.parent), 0)
                    bundle = self._settle(path, draft, files=files, above=highest, undo=undo)
                    facts = {"manifest": bundle.digest, "task": str(draft.task)}
                    self._ledger.append_within(connection, kind=PUBLISHED, subject=bundle.reference, facts=facts)
                undo.pop_all()
            return bundle
        except OSError as error:
            raise cannot_write(path, error) from error

    def remove(self, model: str, version: int) -> None:
        """Delete a version. See :meth:`Store.remove`."""
        path = existing_version(self._root, model, version=version)
        hidden = hidden_name(path)
        try:
            with ExitStack() as undo:
                with self._database.write() as connection:
                    _refuse_if_pointed_at(connection, model, version=version)
                    _move(path, hidden, undo=undo)
                    subject = str(Reference(model, version))
                    self._ledger.append_within(connection, kind=REMOVED, subject=subject, facts={})
                undo.pop_all()
        except FileNotFoundError as error:
            raise ConflictError(f"{model}/{version} was removed by another process meanwhile") from error
        except OSError as error:
            raise cannot_write(path, error) from error
        shutil.rmtree(hidden, ignore_errors=True)

    def _settle(
        self, path: Path, draft: ManifestDraft, *, files: dict[str, FileRecord], above: int, undo: ExitStack
    ) -> Bundle:
        """Rename to the first number above ``above`` that is free."""
        fields: dict[str, Any] = {name: getattr(draft, name) for name in ManifestDraft.model_fields}
        fields |= {"model": path.parent.name, "created": self._clock(), "files": files}
        version = above
        while True:
            version += 1
            content = manifest_bytes(Manifest(**fields, version=version))
            write_atomically(path / MANIFEST_NAME, content)
            target = path.with_name(str(version))
            with suppress(FileExistsError):  # taken by something that holds no lock
                _move(path, target, undo=undo)
                fsync_directory(self._root)
                return Bundle(target, parse_manifest(content, origin=str(target / MANIFEST_NAME)))


def _move(source: Path, target: Path, *, undo: ExitStack) -> None:
    """Rename durably, and back again if ``undo`` runs."""
    rename_new(source, target)
    undo.callback(_move_back, target, source)
    fsync_directory(target.parent)


def _move_back(target: Path, source: Path) -> None:
    with suppress(OSError):  # what cannot be moved back is for the ledger to find at the next opening
        target.rename(source)


def _refuse_if_pointed_at(connection: sqlite3.Connection, model: str, *, version: int) -> None:
    if names := names_of(connection, model, version=version):
        raise ConflictError(
            f"{model}/{version} is what {', '.join(f'{model}@{name}' for name in names)} leads to",
            expected="a version without aliases",
            do="Move or delete the alias first.",
        )


def _refuse_if_incomplete(draft: ManifestDraft, files: dict[str, FileRecord]) -> None:
    if faults := file_faults(draft, files):
        raise StoreError(
            f"the bundle cannot be published: {'; '.join(faults)}",
            expected="every file that the manifest names",
            do="Write the file into the staging directory, or correct the draft.",
        )
