"""The audit log: a file of JSON lines, each with the hash of the one before.

Promises: a line that is changed, removed, put in or moved is found by :func:`verify`; so are lines cut off at the end,
where the head was kept elsewhere. Processes that write at once wait for each other, so the chain never forks. No
credential and no payload is ever written. Trade: lines are with the operating system at once, but not synced to the
disk one by one; who can write to the file can write a new chain, which only a kept head shows.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, final

from penjing.core.errors import AuditError, ResourceError, UsageError
from penjing.core.files import canonical_json, digest

_LOG = logging.getLogger(__name__)
GENESIS = "0" * 64
_FIELDS = {"n", "at", "event", "caller", "what", "facts", "previous", "hash"}
_MOST_A_SECOND = 20
_LONGEST_LINE = 1 << 16
_MODE = 0o600


class Head(NamedTuple):
    """Where a chain ends: what to keep elsewhere."""

    n: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what ``str`` of a head gives.

        Raises:
            UsageError: it is none.
        """
        number, _, told = text.strip().partition(":")
        if not re.fullmatch("[0-9]{1,18}", number) or not re.fullmatch("[0-9a-f]{64}", told):
            raise UsageError(f"head {text[:80]!r}", expected="NUMBER:HASH, as penjing audit verify prints it")
        return cls(int(number), told)

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"


@final
class AuditLog:
    """See the module.

    Args:
        path: the file; made where there is none.

    Raises:
        ResourceError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._second, self._written, self._left_out = 0, 0, 0
        with _locked(path):  # says now what would fail later
            pass

    def record(self, event: str, *, caller: str, what: str, **facts: Any) -> None:
        """Write a line.

        Args:
            event: what happened, such as ``refused``.
            caller: who did it, by an id that is no secret.
            what: to what.
            facts: the particulars, as JSON.

        Raises:
            ResourceError: it cannot be written.
        """
        with _locked(self._path) as file:
            last = _last(file)
            line = {
                "n": last.n + 1,
                "at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "event": event,
                "caller": caller[:256],
                "what": what[:1024],
                "facts": facts,
                "previous": last.hash,
            }
            line["hash"] = digest(line)
            os.write(file, canonical_json(line) + b"\n")

    def note(self, event: str, *, caller: str, what: str, **facts: Any) -> None:
        """The same for what strangers cause: bounded, so that a flood fills no disk; never raises, but says so.

        Of more than so many a second, the number of those left out stands in the next line.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= _MOST_A_SECOND:
            self._left_out += 1
            return
        self._written += 1
        if self._left_out:
            facts["left_out"], self._left_out = self._left_out, 0
        try:
            self.record(event, caller=caller, what=what, **facts)
        except (ResourceError, AuditError) as error:
            _LOG.error("%s", error)


def verify(path: Path, *, head: Head | None = None) -> Head:
    """Check the whole chain.

    Args:
        path: the file.
        head: one that was kept; the chain must hold it.

    Returns:
        Where it ends now.

    Raises:
        AuditError: a line was changed, removed, put in, moved or cut off; says which.
    """
    last, kept = Head(0, GENESIS), head is None or head.n == 0
    for number, raw in _lines(path):
        last = _checked(raw, last, where=f"{path}, line {number}")
        kept = kept or last == head
    if not kept:
        raise AuditError(
            f"{path} ends at {last.n}, and does not hold the head {head}", expected="every line that was written"
        )
    return last


def _checked(raw: bytes, last: Head, *, where: str) -> Head:
    try:
        line = json.loads(raw)
        told = line.pop("hash")
        is_ours = set(line) | {"hash"} == _FIELDS and raw == canonical_json(line | {"hash": told})
        right = is_ours and told == digest(line)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        right = False
    if not right:
        raise AuditError(f"{where} is not as it was written", expected="the line that its hash was made of")
    if (line["n"], line["previous"]) != (last.n + 1, last.hash):
        came = f"{where} is entry {line['n']}, and does not follow entry {last.n}"
        raise AuditError(came, expected="an unbroken chain")
    return Head(line["n"], told)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1):
                yield number, raw.removesuffix(b"\n")
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror}", expected="an audit log") from error


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open and this process's alone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
    except OSError as error:
        raise ResourceError(f"audit log {path} cannot be written: {error.strerror}", expected="a file") from error


def _last(file: int) -> Head:
    """The end of the chain; what a crash or a full disk has cut short is taken away first."""
    size = os.fstat(file).st_size
    begin = max(0, size - 2 * _LONGEST_LINE)
    tail = os.pread(file, size - begin, begin)
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        os.ftruncate(file, begin + len(whole))
    if not whole:
        return Head(0, GENESIS)
    try:
        line = json.loads(whole.splitlines()[-1])
        return Head(int(line["n"]), str(line["hash"]))
    except (ValueError, TypeError, KeyError) as error:
        raise AuditError("the last line of the audit log is none", do="Keep the file, and begin another.") from error
