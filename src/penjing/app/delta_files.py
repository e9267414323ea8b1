"""The directories that ``penjing delta`` reads and writes, and what it says of those it wrote."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.errors import NotFoundError, UsageError
from penjing.core.files import staged_directory
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.deltas.facts import Delta, DeltaError, read_delta
from penjing.models.deltas.restoring import find_base
from penjing.models.sparse import is_sparse
from penjing.models.weights import weight_files
from penjing.store import Store, parse_reference


@dataclass(frozen=True, slots=True)
class DeltaMade:
    """A delta that was written.

    Attributes:
        path: its directory.
        form: of the difference.
        base: name of the base.
        bytes: of the difference.
        whole_bytes: of the weights that it stands for.
        error: what a low-bit form loses; None for an exact one.
    """

    path: Path
    form: str
    base: str
    bytes: int
    whole_bytes: int
    error: DeltaError | None


@dataclass(frozen=True, slots=True)
class CheckpointMade:
    """A checkpoint that was written.

    Attributes:
        path: its directory.
        exact: whether its weights are bit for bit those that the delta was made from (or on).
    """

    path: Path
    exact: bool


def made(to: Path, write: Callable[[Path], Delta], *, whole: Path | None) -> DeltaMade:
    """Write a delta into a new directory, and say what came of it."""
    with new_directory(to) as beside:
        delta = write(beside)
        size = sum(file.stat().st_size for file in weight_files(whole)) if whole else _bytes_of(delta)
        return DeltaMade(to, delta.facts.form, delta.facts.base.name, delta.bytes, size, delta.facts.error)


def _bytes_of(delta: Delta) -> int:
    """Of the weights that a delta stands for, without the header of their file."""
    sizes = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8}
    return sum(math.prod(facts.shape) * sizes.get(facts.dtype, 4) for facts in delta.facts.tensors.values())


def new_directory(to: Path) -> Any:
    """A directory that becomes ``to`` when the block ends well; UsageError if ``to`` is there."""
    if to.exists():
        raise UsageError(f"{to} exists", expected="a new directory", do="Choose another name or remove it.")
    return staged_directory(to)


def _place(source: str, store: Path | None) -> Path | None:
    """The directory that a path or a version stands for; None for other names."""
    if Path(source).expanduser().exists() or store is None:
        return Path(source).expanduser()
    try:
        return Store(store).bundle(*parse_reference(source)).path / "checkpoint"
    except (UsageError, NotFoundError):
        return None


def checkpoint_at(source: str, store: Path | None) -> Checkpoint:
    """The checkpoint that a path, a version or a name stands for, whole."""
    return find_checkpoint(str(_place(source, store) or source))


def delta_at(source: str, store: Path | None) -> Delta:
    """The delta that a path or a version stands for."""
    return read_delta(_place(source, store) or Path(source))


def sparse_at(source: str, store: Path | None) -> Path | None:
    """The directory that a path or a version stands for, if its weights are stored sparsely."""
    place = _place(source, store)
    return place if place is not None and is_sparse(place) else None


def base_for(delta: Delta, base: str | None, store: Path | None) -> Checkpoint:
    """A delta's base, opened and compared."""
    return find_base(delta, find=lambda name: checkpoint_at(name, store), base=base)
