"""The file of keys on disk: read with suspicion, changed by one process at a time, whole or not at all.

Promise: after a kill at any point the file is what it was or what was meant. It is this user's alone (mode 0600).
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from penjing.core.errors import KeyFileError
from penjing.core.files import write_atomically
from penjing.security.keys import Key, KeyFile, Shown, new_key

MOST_BYTES = 8 << 20
_MODE = 0o600
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_keys(path: Path) -> KeyFile:
    """The keys of a file.

    Raises:
        KeyFileError: it is not there, is none, or others than its owner may write to it.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read: {error.strerror}", expected="a file of keys", do="Make one: penjing keys create."
        ) from error
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise KeyFileError(
            f"others than its owner may write to {path}", expected="mode 0600", do=f"Run: chmod 600 {path}"
        )
    if len(content) > MOST_BYTES:
        raise KeyFileError(f"{path} is over {MOST_BYTES} bytes", expected="a file of keys")
    try:
        return KeyFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise KeyFileError(
            f"{path} is no file of keys: {where}: {first['msg']}", expected="what penjing keys writes"
        ) from None  # pydantic's own words would show what stands in the file


def add_key(path: Path, shown: Shown) -> None:
    """Keep a new key. Makes the file where there is none.

    Raises:
        KeyFileError: the file is there and cannot be used.
        ResourceError: it cannot be written.
    """
    with _changing(path, must_exist=False) as (keys, write):
        write((*keys, shown.key))


def revoke_key(path: Path, which: str) -> Key:
    """Withdraw a key, by its id or by a name that only one active key has.

    Raises:
        KeyFileError: there is no such key, or the file cannot be used.
    """
    with _changing(path) as (keys, write):
        key = _find(keys, which, path)
        now = datetime.now(UTC)
        changed = key if key.state(now) == "revoked" else key.model_copy(update={"revoked": now})
        write(tuple(changed if one is key else one for one in keys))
        return changed


def rotate_key(path: Path, which: str, *, overlap: timedelta) -> tuple[Shown, Key]:
    """Put a new key of the same name, scopes, limits and lifetime in the place of one.

    Args:
        path: the file.
        which: as :func:`revoke_key`.
        overlap: how long the old one is taken as well.

    Returns:
        The new one, and the old one as it is now.

    Raises:
        KeyFileError: there is no such key, or it is not active.
    """
    with _changing(path) as (keys, write):
        old, now = _find(keys, which, path), datetime.now(UTC)
        if old.state(now) != "active":
            raise KeyFileError(f"key {old.id} is {old.state(now)}", expected="an active one", do="Create a new key.")
        expires = now + (old.expires - old.created) if old.expires else None
        shown = new_key(old.name, old.scopes, expires=expires, limits=old.limits)
        end = now + overlap
        ends = {"expires": min(end, old.expires or end)} if overlap else {"revoked": now}
        ended = old.model_copy(update=ends)
        write((*(ended if one is old else one for one in keys), shown.key))
        return shown, ended


@contextmanager
def _changing(
    path: Path, *, must_exist: bool = True
) -> Iterator[tuple[tuple[Key, ...], Callable[[tuple[Key, ...]], None]]]:
    """The keys, and what replaces them, while no other process changes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file itself is replaced at each change, and so cannot be what is locked.
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read_keys(path).keys if must_exist or path.exists() else ()

        def write(changed: tuple[Key, ...]) -> None:
            content = KeyFile(keys=changed).model_dump_json(indent=1) + "\n"
            write_atomically(path, content.encode(), mode=_MODE)

        yield keys, write
    finally:
        os.close(lock)


def _find(keys: tuple[Key, ...], which: str, path: Path) -> Key:
    now = datetime.now(UTC)
    named = [key for key in keys if key.id == which.removeprefix("pj_")[:12]]
    named = named or [key for key in keys if key.name == which and key.state(now) == "active"]
    if len(named) != 1:
        several = f"{len(named)} active keys are named so: {', '.join(key.id for key in named)}" if named else ""
        raise KeyFileError(
            several or f"{path} holds no such key", expected="the id of one", do="Run: penjing keys list"
        )
    return named[0]
