"""A whole checkpoint out of a delta and its base, wherever one is asked for.

Promises: a base with another digest is refused; what was restored once is kept in the cache under the delta's
digest, so it is opened again without the base. Trade: the cache holds whole checkpoints, and may be deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from penjing.core.errors import CheckpointError, PenjingError
from penjing.core.files import staged_directory
from penjing.data.packages import cache_dir
from penjing.models.deltas.facts import Delta, Found, read_delta

Base = TypeVar("Base", bound=Found)


def restored(path: Path, *, find: Callable[[str], Found], base: str | None = None) -> Path:
    """The checkpoint directory that a delta's directory stands for.

    Args:
        path: of the delta.
        find: opens what the base is called.
        base: what it is called now; None is what it was called when the delta was made.

    Raises:
        CheckpointError: the delta is not whole, or its base is not there or is another one.
    """
    delta = read_delta(path)
    target = cache_dir() / "restored" / delta.digest[:32]
    if not target.is_dir():
        found = find_base(delta, find=find, base=base)
        with suppress(FileExistsError), staged_directory(target) as beside:  # another process may be first
            restore(delta, found, beside)
    return target


def find_base(delta: Delta, *, find: Callable[[str], Base], base: str | None = None) -> Base:
    """The base of a delta, opened and compared.

    Raises:
        CheckpointError: it is not there, or is another one.
    """
    name = base or delta.facts.base.name
    try:
        found = find(name)
    except PenjingError as error:
        raise CheckpointError(
            f"{delta.path} holds what was added to {delta.facts.base.name!r}, which cannot be opened: {error.came}",
            expected=f"a checkpoint with digest {delta.facts.base.digest[:12]}…",
            do=f"Say where it is by --base, or write it whole: penjing delta apply {delta.path} --base PATH --to NEW.",
        ) from error
    refuse_other_base(delta, found)
    return found


def refuse_other_base(delta: Delta, found: Found) -> None:
    """Raise CheckpointError unless ``found`` is what the delta was taken from."""
    if found.digest != delta.facts.base.digest:
        raise CheckpointError(
            f"{found.source} is not the base of {delta.path}: its digest is {found.digest[:12]}…",
            expected=f"{delta.facts.base.name} with digest {delta.facts.base.digest[:12]}…",
            do="Name the checkpoint that the delta was taken from, unchanged: config, weights and tokenizer.",
        )


def restore(delta: Delta, base: Found, target: Path) -> None:
    """Write the whole checkpoint into ``target``, an existing directory.

    Raises:
        CheckpointError: what comes out is not what went in.
        ResourceError: the disk refused it.
    """
    from penjing.models.deltas.difference import copy_around, tensors_of  # torch: only where there is a delta
    from penjing.models.deltas.tensors import read_weights, write_weights

    weights = tensors_of(delta, read_weights(base.path))
    copy_around(delta.path, target)
    write_weights(weights, target)
