"""int8: weights and the inputs of matrix products as 8-bit integers, by the engines' own tools.

Two kinds, one for each engine:

* ONNX Runtime, dynamic: weights by output channel, activations by the range of each batch. No
  calibration; an answer can move a little with what else is in its batch.
* OpenVINO, static: NNCF's post-training quantisation with SmoothQuant, ranges from calibration
  texts. An answer does not depend on its batch.

Which is faster is a matter of the processor, so it is measured, and what it costs is measured by
the caller on the whole test split before anything is registered.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penjing.compress.recipe import QuantizeRecipe
from penjing.core.errors import GateRefusal
from penjing.core.machine import describe_machine, usable_cores
from penjing.core.progress import SILENT, Progress
from penjing.engines import ENGINE_FILES, EngineName, GeneratorName, open_engine
from penjing.engines.bulk import bulk_outputs, bulk_token_outputs
from penjing.export.probes import write_probes
from penjing.export.process import run_worker
from penjing.tokens import Encoding, Reads

# Instructions that multiply 8-bit integers natively; without them OpenVINO's int8 is slower than its fp32.
_NATIVE_INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_LEAST_AGREEMENT = 0.9


@dataclass(frozen=True, slots=True)
class Quantised:
    """An int8 model file.

    Attributes:
        engine: what runs it.
        file: in the directory that was asked for.
        note: why this kind, in a sentence.
    """

    engine: EngineName | GeneratorName
    file: Path
    note: str


def quantise(
    onnx: Path,
    target: Path,
    calibration: Sequence[Encoding],
    *,
    recipe: QuantizeRecipe,
    reads: Reads = "first",
    progress: Progress = SILENT,
) -> Quantised:
    """Write an int8 form of ``onnx`` into the directory ``target``.

    Args:
        onnx: fp32, as :func:`penjing.export.onnx_export.export_onnx` writes it.
        target: made if absent.
        calibration: texts like those to come.
        recipe: settings.
        reads: what the head reads of each sequence.
        progress: says what was chosen and why.

    Raises:
        ExportError: the quantiser failed.
        GateRefusal: ``measure`` found no kind that agrees well enough.
    """
    if recipe.engine == "measure":
        return _fastest_that_agrees(onnx, target, calibration, reads=reads, progress=progress)
    if recipe.engine == "auto":
        engine, note = preferred_engine(describe_machine().instructions)
    else:
        engine, note = recipe.engine, "chosen by the recipe"
    return Quantised(engine, make_int8(engine, onnx, target=target, calibration=calibration, reads=reads), note)


def preferred_engine(instructions: Sequence[str]) -> tuple[EngineName, str]:
    """Which kind is usually faster on a processor, and why."""
    if native := sorted(_NATIVE_INT8 & set(instructions)):
        return "openvino", f"static int8 in OpenVINO: the processor multiplies 8-bit integers natively ({native[0]})"
    return "onnxruntime", "dynamic int8 in ONNX Runtime: the processor has no native 8-bit products"


def make_int8(
    engine: EngineName,
    onnx: Path,
    *,
    target: Path,
    calibration: Sequence[Encoding],
    reads: Reads = "first",
    kept: Sequence[str] = (),
) -> Path:
    """Write one kind into the directory ``target``, in a process of its own; ``kept`` names layers that stay in fp32.

    Raises:
        ExportError: the quantiser failed.
    """
    target.mkdir(parents=True, exist_ok=True)
    file = target / ENGINE_FILES[engine]
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch) / "calibration.npz"
        write_probes(texts, calibration)
        arguments = [engine, str(onnx), str(file), str(texts), reads, json.dumps(list(kept))]
        run_worker("penjing.compress.worker", ["make", *arguments])
    return file


def _fastest_that_agrees(
    onnx: Path, target: Path, calibration: Sequence[Encoding], *, reads: Reads, progress: Progress
) -> Quantised:
    reference, _ = _try("onnxruntime", onnx, calibration, reads=reads)
    agree = mean_cosine if reads == "mean" else share_equal
    tried: list[tuple[float, EngineName, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for engine in ENGINE_FILES:
            file = make_int8(engine, onnx, target=Path(scratch) / engine, calibration=calibration, reads=reads)
            outputs, seconds = _try(engine, file, calibration, reads=reads)
            agreement = agree(outputs, reference)
            tried.append((seconds, engine, agreement))
            progress.say(f"int8 in {engine}: {seconds:.2f} s for the calibration texts, agreement {agreement:.1%}")
        good = [entry for entry in sorted(tried) if entry[2] >= _LEAST_AGREEMENT]
        if not good:
            best = max(entry[2] for entry in tried)
            raise GateRefusal(
                f"the best int8 form agrees with fp32 on {best:.1%} of {len(calibration)} calibration texts",
                expected=f"at least {_LEAST_AGREEMENT:.0%}",
                do="Keep serving fp32, or train longer: answers near a tie flip most.",
            )
        seconds, engine, agreement = good[0]
        shutil.copytree(Path(scratch) / engine, target, dirs_exist_ok=True)
    return Quantised(
        engine,
        target / ENGINE_FILES[engine],
        f"measured fastest of {len(tried)} kinds, agreement {agreement:.1%} on calibration",
    )


def share_equal(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Share of rows that are the same."""
    return float(np.mean(outputs == reference))


def mean_cosine(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Mean cosine of the two vectors of a row."""
    lengths = np.linalg.norm(outputs, axis=1) * np.linalg.norm(reference, axis=1)
    return float(np.mean((outputs * reference).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)))


def _try(engine: EngineName, file: Path, sequences: Sequence[Encoding], *, reads: Reads) -> tuple[np.ndarray, float]:
    """The vectors, or else the most probable output, of all that the head reads, and the seconds after a warm-up."""
    opened = open_engine(engine, file, instances=usable_cores())
    found: list[np.ndarray] = [np.zeros((0, 0), np.float32)] * len(sequences)
    try:
        for _ in range(2):
            started = time.perf_counter()
            if reads in ("tokens", "chosen"):
                for row, outputs in bulk_token_outputs(opened, sequences, reads=reads):
                    found[row] = outputs.argmax(axis=1)
            else:
                for rows, outputs in bulk_outputs(opened, sequences, reads=reads):
                    for row, one in zip(rows.tolist(), outputs[:, None], strict=True):
                        found[row] = one if reads == "mean" else one.argmax(axis=1)
            seconds = time.perf_counter() - started
    finally:
        opened.close()
    return np.concatenate(found), seconds
