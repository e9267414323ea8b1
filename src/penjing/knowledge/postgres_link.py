"""The way to a PostgreSQL server: where a base lies, connections to it, and its refusals in this project's words.

Promise: a password comes from the environment (``env:NAME``, PGPASSWORD, PGPASSFILE) and never stands in a place that
is shown, kept or told in an error. Trade: idle connections are kept for the next question; a server that was started
anew costs the first question one more attempt.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urldefrag

from penjing.core.errors import ConflictError, PenjingError, ResourceError, StoreError, UsageError
from penjing.core.extras import require
from penjing.knowledge.keeping import no_base

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMES = ("postgresql://", "postgres://")
FROM_ENVIRONMENT = "env:"
_DEFAULT_NAME = "knowledge"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONNECT_S, _IDLE = 10, 4


@dataclass(frozen=True, slots=True)
class Address:
    """Where a base lies.

    Attributes:
        url: for libpq; may hold a password, so it is never shown.
        schema: of the base's tables.
        place: as a user names it.
    """

    url: str = field(repr=False)
    schema: str
    place: str


def is_address(said: str) -> bool:
    """Whether this names a database rather than a file."""
    return said.startswith((*SCHEMES, FROM_ENVIRONMENT))


def address_of(said: str) -> Address:
    """``postgresql://user@host/database#name`` or ``env:VARIABLE#name``, whose variable holds such a URL.

    Raises:
        UsageError: it is none, or holds a password for all to see.
    """
    told, name = urldefrag(said)
    url = told
    if told.startswith(FROM_ENVIRONMENT):
        variable = told.removeprefix(FROM_ENVIRONMENT)
        url, own_name = urldefrag(os.environ.get(variable, "").strip())
        name = name or own_name
        if not url.startswith(SCHEMES):
            raise UsageError(f"the environment variable {variable} holds no URL of a PostgreSQL database", **_FORM)
    parts = _parts(url, told)
    if url is told and "password" in parts:
        raise UsageError(
            "the URL of the knowledge base holds a password, which other users of this machine could read",
            expected="one without",
            do="Put the password into PGPASSWORD, or the URL into a variable and say env:VARIABLE.",
        )
    if not _NAME.fullmatch(name := name or _DEFAULT_NAME):
        raise UsageError(f"the knowledge base is named {name!r}", expected="small letters, digits and _, up to 40")
    return Address(url, f"penjing_{name}", said)


_FORM = {"expected": "postgresql://USER@HOST/DATABASE#NAME"}


def _parts(url: str, told: str) -> dict[str, Any]:
    require("psycopg", extra="pgvector")
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return conninfo_to_dict(url)
    except ProgrammingError:  # its message repeats the URL
        shown = told if told.startswith(FROM_ENVIRONMENT) else "of the knowledge base"
        raise UsageError(f"the URL {shown} cannot be read", **_FORM) from None


@final
class Link:
    """Connections to one base. May be used from several threads.

    Args:
        address: where it lies.
        busy_timeout_s: how long to wait for another writer.
    """

    def __init__(self, address: Address, *, busy_timeout_s: float) -> None:
        self.address, self._busy_timeout_s = address, busy_timeout_s
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)  # whoever forgets to close leaves nothing open

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection on which each statement sees one state of the base.

        Raises:
            NotFoundError: there is no such base.
            StoreError: the server cannot be reached, or refuses.
        """
        with self._explained():
            connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._give(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that no other writer of the base overlaps: all of it lasts, or none if the block raises.

        Raises:
            StoreError: another writer took too long; the server cannot be reached, or refuses.
        """
        with self.read() as connection, connection.transaction():
            wait_ms = int(self._busy_timeout_s * 1000)
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{wait_ms}ms",))
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (self.address.schema,))
            yield connection

    def close(self) -> None:
        """Close idle connections. Idempotent."""
        with self._lock:
            _close_all(self._idle)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            try:
                connection.execute("SELECT 1")
            except connection_errors():
                connection.close()
            else:
                return connection

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> Connection:
        import psycopg
        from psycopg import sql

        connection = psycopg.connect(
            self.address.url, autocommit=True, connect_timeout=_CONNECT_S, fallback_application_name="penjing"
        )
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise StoreError(f"the database of {self.address.place} has the encoding {encoding}", expected="UTF8")
        path = sql.SQL("SET search_path TO {}, public").format(sql.Identifier(self.address.schema))
        connection.execute(path)
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from psycopg import Error

        try:
            yield
        except Error as error:
            raise self._explain(error) from error

    def _explain(self, error: psycopg.Error) -> PenjingError:
        from psycopg import errors

        place, said = self.address.place, " ".join(str(error).split())
        match error:
            case errors.UndefinedTable() | errors.InvalidSchemaName():
                return no_base(place)
            case errors.LockNotAvailable():
                return StoreError(
                    f"{place} stayed locked by another writer for {self._busy_timeout_s:g} s",
                    expected="the lock to be free within that time",
                )
            case errors.DiskFull() | errors.OutOfMemory():
                return ResourceError(f"the server of {place} has no room: {said}")
            case errors.InsufficientPrivilege():
                return StoreError(f"{place} refused: {said}", do="Ask whoever runs the database for the right to it.")
            case errors.SerializationFailure() | errors.DeadlockDetected():
                return ConflictError(f"{place}: {said}", do="Run the same command again.")
        is_lost = isinstance(error, connection_errors())
        do = "See that the server runs, and that host, database, user and password are right." if is_lost else ""
        return StoreError(f"{place}: {said}", do=do)


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def connection_errors() -> tuple[type[Exception], ...]:
    """What a connection raises that is there no more."""
    from psycopg import InterfaceError, OperationalError

    return OperationalError, InterfaceError
