"""A SQLite file with a schema that only grows: ``penjing.db`` behind aliases and ledger, and knowledge bases.

Promises: a change is durable once ``write`` has ended well, and absent otherwise; writers queue up, readers never
wait for them (write-ahead log). A connection lives as long as one transaction, so that a database may be used from
any thread and across fork, and nothing must be closed. The price is a fraction of a millisecond for each opening.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from penjing.core.errors import PenjingError, ResourceError, StoreError
from penjing.core.files import cannot_write
from penjing.store.schema import MIGRATIONS

DATABASE_NAME = "penjing.db"
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Database:
    """One such file.

    Args:
        path: the file; made on the first write.
        busy_timeout_s: how long to wait for other writers.
        migrations: its schema; None is that of a store.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float, migrations: Sequence[Sequence[str]] | None = None) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._given = migrations

    @property
    def _migrations(self) -> Sequence[Sequence[str]]:
        return MIGRATIONS if self._given is None else self._given

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; an empty database if there is none yet.

        Raises:
            StoreError: the file is broken or from a newer release.
            ResourceError: the disk does not let it be read.
        """
        with self._explained(), closing(self._open_to_read()) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction that no other writer overlaps: all of it lasts, or none if the block raises.

        Raises:
            StoreError: another process kept the lock too long; the file is broken or from a newer release.
            ResourceError: the disk is full or read-only.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path.parent, error) from error
        with self._explained(), closing(self._connect("mode=rwc")) as connection:
            self._use_write_ahead_log(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._migrate(connection)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connect(self, options: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{options}"
        connection = sqlite3.connect(uri, uri=True, timeout=self._busy_timeout_s, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.row_factory = sqlite3.Row
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        if not self.path.exists():
            return self._empty()
        try:
            return self._connect_to_read("mode=rw")
        except sqlite3.OperationalError:
            if os.access(self.path.parent, os.W_OK) or self._has_unmerged_log():
                raise
        return self._connect_to_read("immutable=1")  # a read-only disk has no room for the log's index

    def _connect_to_read(self, options: str) -> sqlite3.Connection:
        connection = self._connect(options)
        try:
            version = self._schema_version(connection)
        except BaseException:
            connection.close()
            raise
        if version == len(self._migrations):
            return connection
        connection.close()
        if version == 0:
            return self._empty()  # another process is making it
        with self.write():
            pass  # which migrates
        return self._connect(options)

    def _empty(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        for statement in (statement for statements in self._migrations for statement in statements):
            connection.execute(statement)
        return connection

    def _has_unmerged_log(self) -> bool:
        log = self.path.with_name(f"{self.path.name}-wal")
        return log.exists() and log.stat().st_size > 0

    def _use_write_ahead_log(self, connection: sqlite3.Connection) -> None:
        """Set the journal mode. SQLite does not wait for locks here, so we do."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._schema_version(connection)
        for statements in self._migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(self._migrations):
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _schema_version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(self._migrations):
            raise StoreError(
                f"{self.path} has schema {version}",
                expected=f"at most {len(self._migrations)}, the newest that this release of Penjing knows",
                do="Upgrade Penjing; an older release must not write to a newer store.",
            )
        return version

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> PenjingError:
        if _code(error) in _BUSY:
            return StoreError(
                f"{self.path} stayed locked by another process for {self._busy_timeout_s:g} s",
                expected="the lock to be free within that time",
                do="See which process holds it (fuser or lsof), then run the same command again.",
            )
        if _code(error) in _DISK:
            return ResourceError(
                f"{self.path} cannot be opened or written: {error}",
                expected="a writable disk with room left",
                do="Free space or make the store writable, then run the same command again.",
            )
        if _code(error) in _BROKEN:
            return StoreError(
                f"{self.path} is broken: {error}",
                expected="a SQLite database",
                do="Restore it from a backup."
                + (
                    " Without it the versions still serve, but aliases and ledger are lost."
                    if self._given is None
                    else ""
                ),
            )
        return StoreError(f"{self.path} refused: {error}")


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
