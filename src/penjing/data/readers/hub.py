"""Data sets by hub name through the ``datasets`` library: ``hf:name[:config][?split=…&revision=…]``.

Columns of type ClassLabel give their names, not their numbers; -1 there means no label. The
library keeps its own cache on disk; rows are read from it one at a time. It runs no code of
the data set's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penjing.core.errors import DataError, ResourceError
from penjing.core.extras import require
from penjing.data.examples import Row


def read_hub(name: str, *, config: str | None, split: str, revision: str | None) -> Iterator[Row]:
    """Rows of one split.

    Raises:
        ResourceError: ``datasets`` is not installed, or the hub cannot be reached.
        DataError: the data set has no such split or configuration.
    """
    datasets = require("datasets", extra="datasets")
    loaded = _ask(name, lambda: datasets.load_dataset(name, config, split=split, revision=revision))
    classes = {key: kind for key, kind in loaded.features.items() if isinstance(kind, datasets.ClassLabel)}
    for number, fields in enumerate(loaded, start=1):
        yield Row(
            {key: _named(value, classes.get(key)) for key, value in fields.items()}, f"hf:{name}/{split}:{number}"
        )


def hub_splits(name: str, *, config: str | None, revision: str | None) -> frozenset[str]:
    """Names of the splits there are."""
    datasets = require("datasets", extra="datasets")
    return frozenset(_ask(name, lambda: datasets.get_dataset_split_names(name, config, revision=revision)))


def _named(value: object, kind: Any) -> object:
    if kind is None or not isinstance(value, int):
        return value
    return kind.int2str(value) if value >= 0 else None


def _ask(name: str, call: Any) -> Any:
    try:
        return call()
    except ValueError as error:  # unknown split or configuration; the text lists those there are
        raise DataError(f"data set 'hf:{name}': {error}", do="Write hf:name:config?split=name.") from error
    except Exception as error:  # the library raises its own, the HTTP client's and the file system's
        raise ResourceError(
            f"data set 'hf:{name}' cannot be loaded: {str(error) or type(error).__name__}",
            expected="the hub to answer, or the set in the local cache",
            do="Check the name and the network, or give local files as train: and test:.",
        ) from error
