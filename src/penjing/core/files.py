"""Files that appear whole or not at all, and digests of what they hold.

Promise: after a kill or a full disk at any point, the target is either what it was before or
what was meant, never in between. The price is one fsync of the file and one of its directory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.errors import ResourceError

STAGING_PREFIX = ".staging-"
# Names under which weights lie that have to be unpickled, and could run code then.
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
_DISK_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no blanks, UTF-8. Digests are taken over this."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """Hex SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def fsync_directory(path: Path) -> None:
    """Make renames inside ``path`` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(path: Path) -> None:
    """Make every file and directory under ``path``, and ``path`` itself, durable."""
    for item in (*path.rglob("*"), path):
        if item.is_dir():
            fsync_directory(item)
            continue
        with item.open("rb") as file:
            os.fsync(file.fileno())


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` by ``content``: written beside, synced, renamed.

    Args:
        path: what is replaced.
        content: all of it.
        mode: who may read and write it; at no time more than these.

    Raises:
        ResourceError: the disk is full or read-only; ``path`` keeps its former content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=STAGING_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(mode)
        Path(beside).replace(path)
        fsync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        Path(beside).unlink(missing_ok=True)


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """Yield a directory beside ``target`` that becomes ``target`` when the block ends well.

    Raises:
        FileExistsError: ``target`` came into being meanwhile.
        ResourceError: the disk refused a write; nothing of ``target`` exists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=target.parent))
    beside.chmod(0o755)
    try:
        yield beside
        fsync_tree(beside)
        rename_new(beside, target)
        fsync_directory(target.parent)
    except OSError as error:
        if disk_refused(error):
            raise cannot_write(target, error) from error
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def rename_new(source: Path, target: Path) -> None:
    """Rename a directory onto a name that is free.

    rename(2) replaces an *empty* directory, which loses nothing.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(error.errno, "exists already", str(target)) from error
        raise


def disk_refused(error: OSError) -> bool:
    """Whether the disk, rather than a wrong path or a missing right, stood in the way."""
    return error.errno in _DISK_REFUSALS


def cannot_write(path: Path, error: OSError) -> ResourceError:
    """The error to raise when the system refuses a write to ``path``."""
    return ResourceError(
        f"writing {path} failed: {error.strerror or error}",
        expected="a writable disk with room left",
        do="Free space or choose another directory, then run the same command again.",
    )
