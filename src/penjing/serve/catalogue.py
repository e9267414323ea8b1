"""Where the server finds models: a store, or plain directories of versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from penjing.core.errors import NotFoundError, UsageError
from penjing.store.bundle import Bundle, read_bundle
from penjing.store.layout import version_folders
from penjing.store.store import Store


class Catalogue(Protocol):
    """What there is to serve. Asked anew at each poll."""

    def models(self) -> list[str]:
        """Names, sorted."""

    def versions(self, model: str) -> list[int]:
        """Ascending; raises NotFoundError for an unknown model."""

    def labels(self, model: str) -> dict[str, int]:
        """Label → version."""

    def folder(self, model: str) -> Path:
        """The directory of a model's versions, there or not."""

    def bundle(self, model: str, version: int) -> Bundle:
        """Open a version."""


class StoreCatalogue:
    """The models of a store; its aliases are the labels."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def address(self) -> dict[str, Any]:
        """See :func:`catalogue_at`."""
        return {"store": str(self._store.root.absolute())}

    def models(self) -> list[str]:
        """See :meth:`Catalogue.models`."""
        return self._store.models()

    def versions(self, model: str) -> list[int]:
        """See :meth:`Catalogue.versions`."""
        return self._store.versions(model)

    def labels(self, model: str) -> dict[str, int]:
        """See :meth:`Catalogue.labels`."""
        return self._store.aliases.of(model)

    def folder(self, model: str) -> Path:
        """See :meth:`Catalogue.folder`."""
        return self._store.root / model

    def bundle(self, model: str, version: int) -> Bundle:
        """See :meth:`Catalogue.bundle`."""
        return self._store.bundle(model, version)


class FolderCatalogue:
    """Models that lie in plain directories ``<path>/<version>/``, as TensorFlow Serving's base paths.

    Args:
        paths: model name → directory of its versions.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    @property
    def address(self) -> dict[str, Any]:
        """See :func:`catalogue_at`."""
        return {"folders": {name: str(path.absolute()) for name, path in self._paths.items()}}

    def models(self) -> list[str]:
        """See :meth:`Catalogue.models`."""
        return sorted(self._paths)

    def versions(self, model: str) -> list[int]:
        """See :meth:`Catalogue.versions`."""
        return list(version_folders(self._path(model)))

    def labels(self, model: str) -> dict[str, int]:
        """See :meth:`Catalogue.labels`."""
        self._path(model)
        return {}

    def folder(self, model: str) -> Path:
        """See :meth:`Catalogue.folder`."""
        return self._path(model)

    def bundle(self, model: str, version: int) -> Bundle:
        """See :meth:`Catalogue.bundle`."""
        folders = version_folders(self._path(model))
        return read_bundle(folders.get(version, self._path(model) / str(version)))

    def _path(self, model: str) -> Path:
        if model not in self._paths:
            raise NotFoundError(f"model {model!r} is unknown", expected=f"one of {', '.join(self.models())}")
        return self._paths[model]


def address_of(catalogue: Catalogue) -> dict[str, Any]:
    """What another process opens the same catalogue by. See :func:`catalogue_at`.

    Raises:
        UsageError: it is one of neither kind.
    """
    if isinstance(catalogue, StoreCatalogue | FolderCatalogue):
        return catalogue.address
    raise UsageError(
        f"workers cannot open a {type(catalogue).__name__}", expected="a StoreCatalogue or a FolderCatalogue"
    )


def catalogue_at(address: Mapping[str, Any]) -> Catalogue:
    """Open a catalogue by its address, plain data that passes from process to process."""
    if "store" in address:
        return StoreCatalogue(Store(Path(address["store"])))
    return FolderCatalogue({name: Path(path) for name, path in address["folders"].items()})
