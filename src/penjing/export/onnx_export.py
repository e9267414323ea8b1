"""Checkpoint → ONNX in a fresh process, then the proof through the engine that will serve it.

Promise: a file that leaves here gave, on mixed lengths packed together, the outputs of
Transformers' own padded forward, within ``TOLERANCE`` of their scale.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.errors import ParityError
from penjing.core.nouns import Measurement
from penjing.engines import Engine
from penjing.export.probes import write_probes
from penjing.export.process import run_worker
from penjing.tokens import Encoding, Reads, pack_sequences

# fp32 engines differ from torch by rounding, some 1e-6 of the outputs' scale; a wrong graph by far more.
TOLERANCE = 1e-4


def export_onnx(checkpoint: Path, target: Path, probes: Sequence[Encoding]) -> npt.NDArray[np.float32]:
    """Write ``target`` and return the reference outputs: rows of each probe one after another.

    Raises:
        ExportError: the exporter failed; its last words are in the message.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        probe_file, draft = Path(scratch) / "probes.npz", Path(scratch) / "model.onnx"
        write_probes(probe_file, probes)
        run_worker("penjing.export.worker", [str(checkpoint), str(draft), str(probe_file)])
        with np.load(draft.with_suffix(".npz"), allow_pickle=False) as arrays:
            reference: npt.NDArray[np.float32] = arrays["logits"]
        shutil.copyfile(draft, target)
    return reference


def prove_parity(
    engine: Engine,
    probes: Sequence[Encoding],
    reference: npt.NDArray[np.float32],
    *,
    reads: Reads = "first",
    tolerance: float = TOLERANCE,
) -> Measurement:
    """Compare an engine with the reference; the largest difference as a share of the largest output.

    Raises:
        ParityError: it exceeds ``tolerance`` or is not a number, or the outputs are not as many.
    """
    batch = pack_sequences(list(probes), reads=reads)
    outputs = engine.run(batch)
    if outputs.shape != reference.shape:
        raise _differs(engine, f"outputs of shape {outputs.shape}", f"{reference.shape}, as Transformers gives")
    scale = max(float(np.abs(reference).max()), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(batch.in_order(outputs) - reference).max()) / scale
    if not difference <= tolerance:
        raise _differs(
            engine,
            f"a difference from Transformers of {difference:.2g} of the outputs' scale",
            f"at most {tolerance:.0e}",
        )
    return Measurement(value=difference, n=len(probes))


def _differs(engine: Engine, found: str, expected: str) -> ParityError:
    return ParityError(
        f"{engine.name} gives {found}",
        expected=expected,
        do="Do not serve this file; try another engine (export.engine).",
    )
