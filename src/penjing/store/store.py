"""The store: model versions on disk, their names, and the record of what happened to them.

Promises: a version appears whole or not at all, whatever is killed or full; a number is never given out twice; each
version that comes or goes has an entry in the ledger. Trade: one machine. The locks and the database want a local
disk; a store that many machines write to is another thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from penjing.core.errors import CorruptBundleError
from penjing.store.aliases import Aliases
from penjing.store.bundle import Bundle, read_bundle
from penjing.store.database import DATABASE_NAME, Database
from penjing.store.history import heal
from penjing.store.layout import existing_version, existing_versions, model_names
from penjing.store.ledger import Ledger
from penjing.store.publishing import Publisher
from penjing.store.references import check_model_name, parse_version
from penjing.store.staging import Staging, staging_folder, sweep


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class Store:
    """Bundles under one directory, as ``<root>/<model>/<version>/``.

    Opening writes nothing but the ledger entries that a killed process owes; a read-only store can be read.

    Args:
        root: the directory; made when the first version is staged.
        busy_timeout_s: how long to wait for other writers to the database.
        clock: tells the time of versions and ledger entries.

    Attributes:
        root: as given.
        aliases: names that lead to versions.
        ledger: what happened, entry by entry.

    Raises:
        StoreError: the database is broken or from a newer release.
    """

    def __init__(self, root: Path, *, busy_timeout_s: float = 10.0, clock: Callable[[], datetime] = utc_now) -> None:
        self.root = root
        database = Database(root / DATABASE_NAME, busy_timeout_s=busy_timeout_s)
        self.ledger = Ledger(database, clock=clock)
        self.aliases = Aliases(root, database, ledger=self.ledger)
        self._publisher = Publisher(root, database, ledger=self.ledger, clock=clock)
        heal(root, database, ledger=self.ledger)

    def models(self) -> list[str]:
        """Names of the models that have a version, sorted."""
        return model_names(self.root)

    def versions(self, model: str) -> list[int]:
        """Versions of a model, ascending.

        Raises:
            NotFoundError: there is no such model.
        """
        return list(existing_versions(self.root, model))

    def bundle(self, model: str, ref: int | str | None = None) -> Bundle:
        """Open a version. Digests are left to :meth:`Bundle.verify`.

        Args:
            model: its name.
            ref: a version number, its digits, or an alias; None is the highest version.

        Raises:
            NotFoundError: no such model, version or alias.
            CorruptBundleError: its manifest does not fit, or is another version's.
        """
        folders = existing_versions(self.root, model)
        version = self._version(model, ref) if ref is not None else max(folders)
        bundle = read_bundle(existing_version(self.root, model, version=version))
        if bundle.reference != f"{model}/{version}":
            raise CorruptBundleError(
                f"{bundle.path} holds the manifest of {bundle.reference}",
                expected=f"that of {model}/{version}",
                do="Publish a copy of a version anew instead of copying or renaming its directory.",
            )
        return bundle

    @contextmanager
    def stage(self, model: str) -> Iterator[Staging]:
        """Make the next version of a model: write files to ``.path`` of what this yields, then ``.publish`` it.

        Whatever is not published when the block ends is deleted.

        Raises:
            UsageError: the name cannot be a model's.
            ResourceError: the disk is full or read-only.
        """
        home = self.root / check_model_name(model)
        sweep(self.root)
        with staging_folder(home) as path:
            yield Staging(path, self._publisher.publish)

    def remove(self, model: str, version: int) -> None:
        """Delete a version. It disappears at once; its number is not used again.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: an alias leads to it.
            ResourceError: the store is read-only.
        """
        self._publisher.remove(model, version)

    def _version(self, model: str, ref: int | str) -> int:
        if isinstance(ref, int):
            return ref
        version = parse_version(ref)
        return version if version is not None else self.aliases.get(model, ref)
