"""Tensors of a checkpoint directory as a dictionary, in and out, and which of the base's belongs to which."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penjing.core.errors import CheckpointError
from penjing.models.weights import WEIGHT_FILE, refused_writes_told, safetensors_shapes, weight_files

Tensors = Mapping[str, Tensor]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        CheckpointError: it is none, or is cut short.
    """
    safetensors_shapes(file)
    try:
        found: dict[str, Tensor] = load_file(file)
    except Exception as error:  # safetensors raises an error of its own for a header that lies
        raise CheckpointError(f"{file} cannot be read: {error}", expected="weights in safetensors") from error
    return found


def read_weights(checkpoint: Path) -> dict[str, Tensor]:
    """All weights of a checkpoint directory."""
    found: dict[str, Tensor] = {}
    for file in weight_files(checkpoint):
        found |= read_tensors(file)
    return found


def write_tensors(tensors: Tensors, file: Path) -> None:
    """Write a safetensors file; the same tensors give the same bytes.

    Raises:
        ResourceError: the disk refused them.
    """
    with refused_writes_told(file):
        save_file({name: tensors[name].contiguous() for name in sorted(tensors)}, file, metadata={"format": "pt"})


def write_weights(tensors: Tensors, checkpoint: Path) -> None:
    """Write the weights of a checkpoint directory."""
    write_tensors(tensors, checkpoint / WEIGHT_FILE)


def digest_of(tensors: Tensors) -> str:
    """Hex SHA-256 over names, types, shapes and bits, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        whole.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def match_names(tuned: Tensors, base: Tensors) -> dict[str, str | None]:
    """Tensor of θ_t → the base's of the same name, shape and type; None where it has none.

    The first part of a name may be there in one of them only: ``bert.`` stands before an encoder under a head.
    """
    bare = {name.partition(".")[2]: name for name in base}
    found: dict[str, str | None] = {}
    for name, tensor in tuned.items():
        candidates = (name, name.partition(".")[2], bare.get(name, ""))
        found[name] = next((other for other in candidates if other in base and _alike(tensor, base[other])), None)
    return found


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
