"""A bundle: one version directory and the manifest that vouches for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.core.errors import CorruptBundleError, NotFoundError, StoreError
from penjing.core.files import sha256_file
from penjing.store.contents import list_files
from penjing.store.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, parse_manifest
from penjing.store.references import unknown


@dataclass(frozen=True)
class Bundle:
    """One version of a model.

    Args:
        path: its directory.
        manifest: the content of its ``bundle.json``.
    """

    path: Path
    manifest: Manifest

    @property
    def reference(self) -> str:
        """``model/version``."""
        return f"{self.manifest.model}/{self.manifest.version}"

    @property
    def digest(self) -> str:
        """Hex SHA-256 of ``bundle.json``, hence of all the bundle: what a parent or a signature refers to."""
        return sha256_file(self.path / MANIFEST_NAME)

    def file(self, name: str) -> Path:
        """Where a file of the bundle lies.

        Raises:
            NotFoundError: the manifest names no such file.
        """
        if name not in self.manifest.files:
            raise unknown("file", name, known=self.manifest.files, place=f"the bundle {self.reference}")
        return self.path / name

    def verify(self) -> None:
        """Compare every file with its digest.

        Raises:
            CorruptBundleError: lists every file that is missing, changed or not in the manifest.
        """
        files, odd = list_files(self.path)
        records = self.manifest.files
        faults = [f"{name} is neither a file nor a directory" for name in odd]
        for name, record in records.items():
            if name not in files:
                faults.append(f"{name} is missing")
            elif files[name].stat().st_size != record.bytes:
                faults.append(f"{name} has {files[name].stat().st_size} bytes, not {record.bytes}")
            elif sha256_file(files[name]) != record.sha256:
                faults.append(f"{name} has changed")
        known = {*records, MANIFEST_NAME, SIGNATURE_NAME}
        faults += [f"{name} is not in the manifest" for name in files if name not in known]
        if faults:
            raise CorruptBundleError(
                f"bundle {self.reference} in {self.path}: {'; '.join(faults)}",
                expected="the files that its manifest names",
                do="Restore the version from a backup or publish it again; do not serve it.",
            )


def read_bundle(path: Path) -> Bundle:
    """Open a version directory, in a store or anywhere else. Digests are left to ``verify``.

    Raises:
        NotFoundError: there is no such directory.
        CorruptBundleError: the manifest is missing or does not fit its schema.
        StoreError: the system does not let it be read.
    """
    file = path / MANIFEST_NAME
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.is_dir():
            raise NotFoundError(
                f"bundle {path} does not exist", expected=f"a directory with {MANIFEST_NAME}"
            ) from error
        raise CorruptBundleError(f"{path} has no {MANIFEST_NAME}", expected="a published bundle") from error
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", expected="a readable manifest") from error
    return Bundle(path, parse_manifest(content, origin=str(file)))
