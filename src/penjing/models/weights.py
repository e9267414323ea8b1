"""The weight files of a checkpoint directory, and what their headers say. Needs no torch.

Promise: a file that is cut short, or that an index points to outside the directory, is refused before
anything in it is read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.errors import CheckpointError, ResourceError
from penjing.core.extras import require

WEIGHT_FILE, WEIGHT_INDEX = "model.safetensors", "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100 << 20
# What reading a header that is none can raise.
_MALFORMED = (ValueError, OSError, struct.error, KeyError, TypeError, AttributeError, IndexError, RecursionError)


def read_json(path: Path, *, expected: str) -> Any:
    """The content of a JSON file of a checkpoint.

    Raises:
        CheckpointError: it is not JSON, or cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}", expected=expected, do="Copy it again.") from error


def weight_files(path: Path) -> list[Path]:
    """The files that Transformers would load; each exists."""
    if (path / WEIGHT_FILE).is_file():
        return [path / WEIGHT_FILE]
    index = _read_index(path / WEIGHT_INDEX)
    names = sorted(set(index.values()))
    if missing := [name for name in names if not (path / name).is_file()]:
        raise CheckpointError(f"checkpoint {path} lacks {', '.join(missing)}", expected="every file of its index")
    return [path / name for name in names]


def _read_index(path: Path) -> dict[str, str]:
    expected = "a weight_map of tensor to file"
    whole = read_json(path, expected=expected)
    names = whole.get("weight_map") if isinstance(whole, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(file, str) for file in names.values()):
        raise CheckpointError(f"{path} is not a weight index", expected=expected)
    if outside := sorted({file for file in names.values() if "/" in file or "\\" in file or file in ("", "..")}):
        raise CheckpointError(f"{path} points outside the checkpoint ({outside[0]})", expected="plain file names")
    return names


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name → shape, over all weight files."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weight_files(path):
        shapes |= safetensors_shapes(file)
    if not (path / WEIGHT_FILE).is_file() and (absent := sorted(_read_index(path / WEIGHT_INDEX).keys() - shapes)):
        raise CheckpointError(
            f"the weight files in {path} lack {len(absent)} tensors of its index, such as {absent[0]}",
            expected="every tensor of the index",
            do="Copy the checkpoint again.",
        )
    return shapes


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name → shape from the header; refuses a file whose size does not fit it.

    Source: the safetensors format, 8-byte little-endian header length, JSON header, data.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _MAX_HEADER_BYTES):
                raise ValueError(f"header of {length} bytes in a file of {size}")
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in tensors.items()}
    except _MALFORMED as error:
        raise CheckpointError(
            f"{path} is not a safetensors file: {error}", expected="weights in safetensors", do="Copy it again."
        ) from error
    if size != 8 + length + end:
        raise CheckpointError(
            f"{path} has {size} bytes, its header promises {8 + length + end}",
            expected="a whole file",
            do="It was cut short or changed; copy it again.",
        )
    return shapes


@contextmanager
def refused_writes_told(target: Path) -> Iterator[None]:
    """Turn the error that safetensors raises where the system refuses a write into ours."""
    refusal = require("safetensors", extra="train").SafetensorError
    try:
        yield
    except refusal as error:
        raise ResourceError(
            f"writing {target} failed: {error}",
            expected="a writable disk with room left",
            do="Free space or choose another directory, then run the same command again.",
        ) from error
