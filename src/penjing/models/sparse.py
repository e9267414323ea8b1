"""Weights of which many are zero, stored small: ``model.sparse.safetensors`` in place of ``model.safetensors``.

A safetensors file in which a tensor ``w`` that pays is two: ``w:mask``, uint8, one bit a weight in the order of its
rows, the highest bit of a byte first (``numpy.packbits``), 1 where the weight is not zero; and ``w:values``, those
weights in the same order. All others are there as they are. The metadata hold ``shapes``, JSON of the shapes of those
that are two, and ``digest`` of the whole weights.

Promise: an ordinary checkpoint comes back bit for bit, a −0 included, or the file is refused. Trade: what is small is
the file; opened, it is an ordinary dense model, kept in the cache, of ordinary speed.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CheckpointError
from penjing.core.extras import require
from penjing.core.files import sha256_file, staged_directory
from penjing.data.packages import cache_dir
from penjing.models.weights import WEIGHT_FILE, WEIGHT_INDEX, refused_writes_told, safetensors_shapes, weight_files

SPARSE_FILE = "model.sparse.safetensors"
_MASK, _VALUES, _FORM = ":mask", ":values", "penjing-sparse-1"


def is_sparse(path: Path) -> bool:
    """Whether a directory holds a checkpoint whose weights are stored so."""
    return (path / SPARSE_FILE).is_file()


def store_sparse(checkpoint: Path) -> tuple[int, int]:
    """Store a checkpoint directory's weights so, if that is smaller, after they were seen to come back.

    Returns:
        bytes of the weights before, and bytes of the sparse file; where those are not fewer, nothing has changed.

    Raises:
        ResourceError: the disk refused it; the ordinary weights are still there.
    """
    from penjing.models.deltas.tensors import digest_of, read_weights  # torch: only where it is needed

    files, target = weight_files(checkpoint), checkpoint / SPARSE_FILE
    whole = read_weights(checkpoint)
    stored, shapes = dict[str, Any](), dict[str, list[int]]()
    for name, tensor in whole.items():
        parts = _apart(tensor)
        stored |= {name: tensor} if parts is None else {name + _MASK: parts[0], name + _VALUES: parts[1]}
        if parts is not None:
            shapes[name] = list(tensor.shape)
    told = {"format": _FORM, "shapes": json.dumps(shapes, sort_keys=True), "digest": digest_of(whole)}
    with refused_writes_told(target):
        require("safetensors.torch", extra="train").save_file(stored, target, metadata=told)
    sizes = sum(file.stat().st_size for file in files), target.stat().st_size
    if sizes[1] >= sizes[0]:
        target.unlink()
        return sizes
    read_sparse(target)
    for file in (*files, checkpoint / WEIGHT_INDEX):
        file.unlink(missing_ok=True)
    return sizes


def read_sparse(file: Path) -> dict[str, Any]:
    """The weights, by name, as torch tensors.

    Raises:
        CheckpointError: the file is none of these, or not as it was written.
    """
    from penjing.models.deltas.tensors import digest_of, read_tensors

    stored, told = read_tensors(file), _metadata(file)
    shapes = _shapes(file, told)
    found = {name: _together(file, name, stored, shape=shape) for name, shape in shapes.items()}
    parts = {name + suffix for name in shapes for suffix in (_MASK, _VALUES)}
    found |= {name: tensor for name, tensor in stored.items() if name not in parts}
    if digest_of(found) != told.get("digest"):
        raise _spoilt(file, "gives other weights than it was made from")
    return found


def dense(path: Path) -> Path:
    """The ordinary checkpoint directory that one with sparse weights stands for, in the cache."""
    target = cache_dir() / "restored" / sha256_file(path / SPARSE_FILE)[:32]
    if not target.is_dir():
        with suppress(FileExistsError), staged_directory(target) as beside:  # another process may be first
            write_dense(path, beside)
    return target


def write_dense(path: Path, target: Path) -> None:
    """Write the ordinary checkpoint into ``target``, an existing directory.

    Raises:
        CheckpointError: the sparse file is not whole.
        ResourceError: the disk refused it.
    """
    from penjing.models.deltas.difference import copy_around
    from penjing.models.deltas.tensors import write_weights

    weights = read_sparse(path / SPARSE_FILE)
    copy_around(path, target)
    (target / SPARSE_FILE).unlink(missing_ok=True)
    write_weights(weights, target)


def _apart(tensor: Any) -> tuple[Any, Any] | None:
    """Mask and values of a tensor, where they take less room than it does."""
    torch = require("torch", extra="train")
    bits = _bits(tensor)
    there = bits.any(axis=1)
    count = int(there.sum())
    if not tensor.is_floating_point() or count * bits.shape[1] + math.ceil(len(bits) / 8) >= bits.size:
        return None
    return torch.from_numpy(np.packbits(there)), torch.from_numpy(bits[there].reshape(-1)).view(tensor.dtype)


def _together(file: Path, name: str, stored: dict[str, Any], *, shape: tuple[int, ...]) -> Any:
    torch = require("torch", extra="train")
    mask, values = stored.get(name + _MASK), stored.get(name + _VALUES)
    count = math.prod(shape)
    if mask is None or values is None or mask.dtype is not torch.uint8 or tuple(mask.shape) != (math.ceil(count / 8),):
        raise _spoilt(file, f"has no mask of {count} bits for {name}")
    there = np.unpackbits(mask.numpy())
    if there[count:].any() or tuple(values.shape) != (int(there.sum()),):
        raise _spoilt(file, f"has {tuple(values.shape)} values for {int(there.sum())} bits of {name}")
    bits = _bits(values)
    whole = np.zeros((count, bits.shape[1]), np.uint8)
    whole[there[:count].astype(bool)] = bits
    return torch.from_numpy(whole.reshape(-1)).view(values.dtype).view(shape)


def _bits(tensor: Any) -> npt.NDArray[np.uint8]:
    """(numbers, bytes of one): what moves numbers one by one may change the bits of a NaN."""
    raw = tensor.contiguous().reshape(-1).view(require("torch", extra="train").uint8).numpy()
    bits: npt.NDArray[np.uint8] = raw.reshape(tensor.numel(), tensor.element_size())
    return bits


def _metadata(file: Path) -> dict[str, str]:
    with require("safetensors", extra="train").safe_open(str(file), "pt") as opened:
        found: dict[str, str] = opened.metadata() or {}
    if found.get("format") != _FORM:
        raise _spoilt(file, f"says it is {found.get('format')!r}, not {_FORM!r}")
    return found


def _shapes(file: Path, told: dict[str, str]) -> dict[str, tuple[int, ...]]:
    safetensors_shapes(file)
    try:
        shapes = json.loads(told.get("shapes", ""))
        found = {str(name): tuple(shape) for name, shape in shapes.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _spoilt(file, f"says no shapes ({error})") from error
    if not all(type(side) is int and side >= 0 for shape in found.values() for side in shape):
        raise _spoilt(file, "has shapes that are none")
    return found


def _spoilt(file: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{file} {what}",
        expected=f"sparse weights as Penjing writes them, {WEIGHT_FILE} made small",
        do="Copy it again.",
    )
