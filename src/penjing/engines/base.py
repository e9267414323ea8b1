"""The engine protocol, and what every engine does with the graph it runs.

An engine turns a :class:`~penjing.tokens.PackedBatch` into rows of outputs: one a sequence, or one a
token, as the batch says. It is opened from a file that :mod:`penjing.export` wrote; all engines read
the same inputs.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CorruptBundleError, NotReadyError
from penjing.tokens import PackedBatch

Precision = Literal["fp32", "bf16", "int8"]
# What an exported graph may take (an exporter drops what a family does not use), and what it gives.
INPUTS = ("input_ids", "position_ids", "segment_ids", "token_type_ids", "cells", "spans")
OUTPUT = "logits"


class Engine(Protocol):
    """Executes packed batches. ``run`` may be called from several threads at once.

    Attributes:
        name: key of the registry.
        instances: how many concurrent calls of ``run`` the engine was laid out for.
    """

    name: str
    instances: int

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """Outputs (cells, outputs), float32: a row for each of ``batch.cells``, in their order.

        Raises:
            NotReadyError: the engine is closed.
        """

    def close(self) -> None:
        """Free what the engine holds. Idempotent."""


def feed(batch: PackedBatch, names: Collection[str]) -> dict[str, npt.NDArray[np.int64]]:
    """The inputs ``names`` of an exported graph.

    ``cells`` and ``spans`` are padded to a power of two: fewer shapes to prepare.

    Raises:
        ValueError: inputs of different shapes. Not every engine looks, and one that reads on regardless can
            bring the process down at a later call.
    """
    shapes = {name: getattr(batch, name).shape for name in INPUTS[:4]}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"a batch whose inputs have different shapes: {shapes}")
    read = batch.cells
    padded = 1 << max(0, len(read) - 1).bit_length()
    cells, spans = np.zeros(padded, np.int64), np.ones(padded, np.int64)
    cells[: len(read)] = read
    if "spans" in names:
        spans[: len(read)] = batch.spans
    arrays = (batch.input_ids, batch.position_ids, batch.segment_ids, batch.token_type_ids, cells, spans)
    return {name: array for name, array in zip(INPUTS, arrays, strict=True) if name in names}


def refuse_foreign(file: Path, *, inputs: Collection[str], outputs: Collection[str]) -> None:
    """Raise CorruptBundleError unless the graph in ``file`` takes and gives what our exporter writes."""
    if OUTPUT in outputs and "cells" in inputs and set(inputs) <= set(INPUTS):
        return
    raise CorruptBundleError(
        f"{file} takes {', '.join(sorted(inputs)) or 'nothing'} and gives {', '.join(sorted(outputs)) or 'nothing'}",
        expected=f"a graph from {', '.join(INPUTS)} to {OUTPUT}",
        do="Export the model again.",
    )


def closed(name: str) -> NotReadyError:
    """What ``run`` of an engine raises after ``close``."""
    return NotReadyError(f"the {name} engine is closed", expected="a running one", do="Open it again.")
