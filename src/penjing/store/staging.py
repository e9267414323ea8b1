"""Hidden directories in which versions are made and unmade.

A staging directory lies beside the versions, so that publishing is a rename, and its name is no integer, so that no
server takes it for a version. Its maker holds a lock on the directory itself (flock). The kernel drops the lock when
the process dies, however it dies, and ``sweep`` takes away every directory that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from penjing.core.errors import ResourceError, StoreError
from penjing.core.files import STAGING_PREFIX, cannot_write, disk_refused
from penjing.store.bundle import Bundle
from penjing.store.layout import model_folders
from penjing.store.manifest import ManifestDraft

_TRIES = 100


class Staging:
    """A version in the making.

    Attributes:
        path: the directory to write the version's files in.
    """

    def __init__(self, path: Path, publish: Callable[[Path, ManifestDraft], Bundle]) -> None:
        self.path = path
        self._publish = publish
        self._published: Bundle | None = None

    def publish(self, draft: ManifestDraft) -> Bundle:
        """Digest the files, write the manifest and make all of it the next version, at once and durably.

        If this raises, nothing is published, and it may be called again once the cause is gone.

        Raises:
            StoreError: the files may not be published; published already; the database stayed locked.
            ResourceError: the disk is full or read-only.
        """
        if self._published:
            raise StoreError(f"published already, as {self._published.reference}", do="Stage anew for another version.")
        self._published = self._publish(self.path, draft)
        return self._published


@contextmanager
def staging_folder(home: Path) -> Iterator[Path]:
    """A new locked directory in ``home``, gone when the block ends unless it was renamed meanwhile.

    Raises:
        ResourceError: it cannot be made, or the disk refused a write in the block.
    """
    try:
        path, lock = _make(home)
    except OSError as error:
        raise cannot_write(home, error) from error
    try:
        yield path
    except OSError as error:
        if disk_refused(error):
            raise cannot_write(path, error) from error
        raise
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
        _drop_if_empty(home)


def hidden_name(path: Path) -> Path:
    """A free hidden name beside ``path``."""
    return path.with_name(f"{STAGING_PREFIX}{secrets.token_hex(8)}")


def sweep(root: Path) -> None:
    """Delete the hidden directories of dead processes, and the model directories they leave empty."""
    for home in model_folders(root):
        for path in home.glob(f"{STAGING_PREFIX}*"):
            with suppress(OSError):  # gone meanwhile, or held by another user: the next sweep sees it again
                _delete_if_free(path)
        _drop_if_empty(home)


def _make(home: Path) -> tuple[Path, int]:
    for _ in range(_TRIES):
        path = hidden_name(home / "new")
        with suppress(FileNotFoundError):  # swept away before it was locked, or its home was
            path.mkdir(parents=True)
            lock = _lock(path)
            if lock is not None:
                return path, lock
    raise ResourceError(f"{home} vanishes while a version is staged in it", expected="a directory that stays")


def _lock(path: Path) -> int | None:
    """A handle that holds the lock on a directory; None if another process has it or the name leads elsewhere now."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
    except BlockingIOError:
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _delete_if_free(path: Path) -> None:
    handle = _lock(path)
    if handle is None:
        return
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _drop_if_empty(home: Path) -> None:
    with suppress(OSError):
        home.rmdir()
