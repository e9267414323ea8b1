"""Where models and versions lie in a store: ``<root>/<model>/<version>/``.

Read from the disk each time, so that any process sees a published version at once and the database is not
needed to serve. Names that are no integers, hidden ones among them, are no versions.
"""

from __future__ import annotations

import re
from pathlib import Path

from penjing.core.errors import StoreError
from penjing.store.manifest import NAME_PATTERN
from penjing.store.references import parse_version, unknown


def model_names(root: Path) -> list[str]:
    """Models with at least one version, sorted."""
    return sorted(folder.name for folder in model_folders(root) if version_folders(folder))


def model_folders(root: Path) -> list[Path]:
    """Directories that may hold versions, empty ones included."""
    return [folder for folder in _inside(root) if re.fullmatch(NAME_PATTERN, folder.name) and folder.is_dir()]


def version_folders(folder: Path) -> dict[int, Path]:
    """Version → directory, ascending. Of ``2`` and ``002`` the plain spelling wins."""
    found: dict[int, Path] = {}
    for path in sorted(_inside(folder), key=lambda path: -len(path.name)):
        version = parse_version(path.name)
        if version is not None and path.is_dir():
            found[version] = path
    return dict(sorted(found.items()))


def existing_versions(root: Path, model: str) -> dict[int, Path]:
    """Version → directory of a model that has some.

    Raises:
        NotFoundError: there is no such model.
    """
    folders = version_folders(root / model) if re.fullmatch(NAME_PATTERN, model) else {}
    if not folders:
        raise unknown("model", model, known=model_names(root), place=f"the store {root}")
    return folders


def existing_version(root: Path, model: str, *, version: int) -> Path:
    """The directory of a version.

    Raises:
        NotFoundError: there is no such model or version.
    """
    folders = existing_versions(root, model)
    if version not in folders:
        raise unknown("version", str(version), known=folders, place=f"model '{model}'")
    return folders[version]


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be listed: {error.strerror}", expected="a readable store") from error
