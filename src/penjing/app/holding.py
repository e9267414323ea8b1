"""What ``checkpoint/`` of a version holds: whole weights, or what was added to a base, whichever was asked for.

Promise: a delta is kept only where it is smaller, and after it was seen to give the weights back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from penjing.core.errors import CheckpointError, UsageError
from penjing.core.files import cannot_write
from penjing.models.checkpoint import Checkpoint, copy_tokenizer, find_checkpoint
from penjing.models.deltas.facts import Delta, is_delta, read_delta
from penjing.models.deltas.restoring import restored
from penjing.models.pooling import pooling_files
from penjing.models.sparse import dense, is_sparse, store_sparse
from penjing.models.weights import WEIGHT_FILE, WEIGHT_INDEX, read_json, weight_files
from penjing.store import Bundle


def whole_checkpoint(bundle: Bundle, *, base: str | None = None) -> Path:
    """A directory with the whole checkpoint of a version. Read it, do not write to it.

    Args:
        bundle: the version.
        base: where the base of a delta lies; None is where it lay when it was trained.

    Raises:
        UsageError: it holds none.
        CheckpointError: it holds a delta whose base is not there, or is another one.
    """
    path = bundle.path / "checkpoint"
    if is_delta(path):
        return restored(path, find=find_checkpoint, base=base)
    if is_sparse(path):
        return dense(path)
    if not any((path / name).is_file() for name in (WEIGHT_FILE, WEIGHT_INDEX)):
        raise UsageError(
            f"{bundle.reference} holds no checkpoint",
            expected="a fine-tuned version",
            do="Name the version it came from.",
        )
    return path


def delta_folder(checkpoint: Path) -> Path:
    """Where a delta lies while a version is made, beside its whole checkpoint."""
    return checkpoint.with_name("delta")


def hold(checkpoint: Path, wanted: Literal["auto", "whole", "delta", "sparse"], *, base: Checkpoint) -> tuple[str, ...]:
    """Let ``checkpoint`` be held as it was wanted.

    Args:
        checkpoint: whole; trained adapters lie in :func:`delta_folder`.
        wanted: as in the recipe.
        base: what was trained.

    Returns:
        what to say of it.
    """
    beside = delta_folder(checkpoint)
    if wanted == "whole" or (wanted == "auto" and not beside.exists()):
        shutil.rmtree(beside, ignore_errors=True)
        return ()
    if wanted == "sparse":
        shutil.rmtree(beside, ignore_errors=True)
        return hold_sparse(checkpoint)
    delta = read_delta(beside) if beside.exists() else take_difference(checkpoint, base, beside)
    sizes = delta.bytes, sum(file.stat().st_size for file in weight_files(checkpoint))
    told = f"the delta from {base.source} takes {sizes[0] / 1e6:.2f} MB, the weights {sizes[1] / 1e6:.2f} MB"
    if sizes[0] >= sizes[1]:
        shutil.rmtree(beside)
        return (f"{told}: the version holds the weights",)
    shutil.rmtree(checkpoint)
    beside.rename(checkpoint)
    return (f"{told}: the version holds the delta ({delta.facts.form})",)


def hold_sparse(checkpoint: Path) -> tuple[str, ...]:
    """Let ``checkpoint`` hold its weights sparsely, where that is smaller; what to say of it."""
    whole, sparse = store_sparse(checkpoint)
    kept = "these" if sparse < whole else "those"
    return (f"the weights take {whole / 1e6:.2f} MB, stored sparsely {sparse / 1e6:.2f} MB: the version holds {kept}",)


def holder(*, sparse: bool) -> Callable[[Path], tuple[str, ...]]:
    """What brings the checkpoint of a version in the making into the form in which it is held."""
    return hold_sparse if sparse else lambda _: ()


def hold_as(parent: Bundle, checkpoint: Path) -> None:
    """Let ``checkpoint`` be held as the version it was taken from holds it."""
    if is_delta(parent.path / "checkpoint") or is_sparse(parent.path / "checkpoint"):
        shutil.rmtree(checkpoint)
        shutil.copytree(parent.path / "checkpoint", checkpoint)


def take_difference(
    tuned: Path, base: Checkpoint, target: Path, *, form: Literal["exact", "int8", "int4", "sign"] = "exact"
) -> Delta:
    """Write the delta between two checkpoints into the new directory ``target``.

    Raises:
        CheckpointError: they have nothing in common.
        ResourceError: the disk refused it.
    """
    from penjing.models.deltas.difference import read_base, write_difference  # torch: only where it is needed
    from penjing.models.deltas.tensors import read_weights

    kind = read_json(tuned / "config.json", expected="a Transformers config.json").get("model_type")
    if kind != base.config.get("model_type"):
        raise CheckpointError(
            f"{tuned} is a {kind}, {base.source} is a {base.config.get('model_type')}",
            expected="a fine-tuning and the checkpoint that it started from",
        )
    copy_surroundings(tuned, target)
    return write_difference(read_weights(tuned), read_base(base), target, form=form)


def copy_surroundings(checkpoint: Path, target: Path) -> None:
    """Copy what makes weights a checkpoint: config, tokenizer, and how it pools.

    Raises:
        ResourceError: the disk refused it.
    """
    try:
        copy_tokenizer(checkpoint, target)
        writing = [file for file in (checkpoint / "generation_config.json",) if file.is_file()]
        for file in (checkpoint / "config.json", *writing, *pooling_files(checkpoint)):
            name = file.relative_to(checkpoint)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
    except OSError as error:
        raise cannot_write(target, error) from error
