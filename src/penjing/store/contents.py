"""What may lie in a bundle: plain files, and none that would have to be unpickled.

Promise: symlinks, devices and pickles are refused by name and by content. Trade: a pickle of protocol 0 or 1 under
an innocent name has no mark to know it by and passes; no loader of Penjing would unpickle it.
"""

from __future__ import annotations

import os
import pickletools
import stat
import zipfile
from pathlib import Path, PurePosixPath

from penjing.core.errors import StoreError
from penjing.core.files import PICKLE_SUFFIXES, sha256_file
from penjing.store.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileRecord, is_plain_name

_OPCODES = frozenset(ord(opcode.code) for opcode in pickletools.opcodes)
_PICKLE_PROTOCOLS = range(2, 6)  # the protocols that open with a mark


def survey(folder: Path) -> dict[str, FileRecord]:
    """Digest and size of every file of a bundle to be.

    Returns:
        POSIX name relative to ``folder`` → record, sorted by name.

    Raises:
        StoreError: the bundle is empty or holds what must not be published; lists every fault.
    """
    files, odd = list_files(folder)
    faults = [f"{name} is neither a file nor a directory" for name in odd]
    faults += [f"{name!r} is not a plain file name" for name in files if not is_plain_name(name)]
    faults += [f"{name} is written by the store itself" for name in (MANIFEST_NAME, SIGNATURE_NAME) if name in files]
    faults += [f"{name} {why}" for name, path in files.items() if (why := why_pickle(name, path))]
    if not files:
        faults.append("it holds no file")
    if faults:
        raise StoreError(
            f"the bundle cannot be published: {'; '.join(faults)}",
            expected="plain files, with weights in safetensors or an engine's own format",
            do="Correct the files and publish again.",
        )
    return {name: FileRecord(sha256=sha256_file(path), bytes=path.stat().st_size) for name, path in files.items()}


def list_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Regular files by POSIX name, and the names of what is neither file nor directory. Links are not followed."""
    files: dict[str, Path] = {}
    odd: list[str] = []
    for top, folders, names in os.walk(folder, onerror=_raise):
        for path in (Path(top, name) for name in (*folders, *names)):
            mode, name = path.lstat().st_mode, path.relative_to(folder).as_posix()
            if stat.S_ISREG(mode):
                files[name] = path
            elif not stat.S_ISDIR(mode):
                odd.append(name)
    return dict(sorted(files.items())), sorted(odd)


def why_pickle(name: str, path: Path) -> str:
    """Why the file counts as a pickle; empty if it does not."""
    if path.suffix.lower() in PICKLE_SUFFIXES and not _is_engine_weights(name, path):
        return f"has the suffix {path.suffix} of pickled weights"
    if _opens_as_pickle(path):
        return "begins as a pickle does"
    if pickled := _pickle_in_zip(path):
        return f"is a zip archive with the pickle {pickled}"
    return ""


def _is_engine_weights(name: str, path: Path) -> bool:
    """OpenVINO's beside their graph, and CTranslate2's beside what says how to ask; neither is unpickled."""
    in_engine = PurePosixPath(name).parts[0] == "engine" and path.suffix == ".bin"
    beside = (path.with_suffix(".xml"), path.with_name("generator.json"))
    return in_engine and any(file.is_file() for file in beside)


def _opens_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    if len(head) < 3 or head[0] != 0x80 or head[1] not in _PICKLE_PROTOCOLS or head[2] not in _OPCODES:
        return False
    # A safetensors header whose length happens to look like the mark: eight bytes of length, then JSON.
    is_safetensors = head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size
    return not is_safetensors


def _pickle_in_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return ""
    return next((name for name in names if name.endswith((".pkl", ".pickle"))), "")


def _raise(error: OSError) -> None:
    raise error
