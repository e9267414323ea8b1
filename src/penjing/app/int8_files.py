"""The files of an int8 form: engine and tokenizer, after training that recovers and with layers restored as asked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penjing.app.holding import whole_checkpoint
from penjing.app.prepared import PreparedData
from penjing.app.quantize_writing import make_int8_writer
from penjing.app.recipes import QuantizeCommand
from penjing.app.recovering import recovered
from penjing.app.restoring import Judge, Restored, restored
from penjing.app.tasks import flow_of
from penjing.compress.quantize import Quantised, preferred_engine, quantise
from penjing.core.errors import DataError, UsageError
from penjing.core.machine import describe_machine
from penjing.core.progress import Progress
from penjing.export.onnx_export import export_onnx
from penjing.export.probes import random_probes
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, Store
from penjing.tokens import Encoding

_LEAST_CALIBRATION = 16  # texts; fewer tell no range


@dataclass(frozen=True, slots=True)
class Int8Files:
    """What was made.

    Attributes:
        made: the engine's file.
        restored: what accuracy control did; None where it was not asked for.
        recovered: what training did, in a sentence; None where it was not asked for.
    """

    made: Quantised
    restored: Restored | None = None
    recovered: str | None = None

    def notes(self) -> tuple[str, ...]:
        """All of it, for the version's manifest."""
        trained = (f"int8: {self.recovered}.",) if self.recovered else ()
        return (f"int8: {self.made.note}.", *trained, *(self.restored.told() if self.restored else ()))


def make_int8_files(
    parent: Bundle,
    target: Path,
    data: PreparedData,
    *,
    command: QuantizeCommand,
    judge: Judge | None,
    home: Store,
    progress: Progress,
) -> Int8Files:
    """Write engine and tokenizer of the new version into ``target``.

    Raises:
        UsageError: training of a task that is not taught.
        DataError: too few texts to calibrate on.
        ExportError: an exporter or a quantiser failed.
        GateRefusal: no number of layers in fp32 keeps the promise.
    """
    if parent.manifest.task in WRITING_TASKS:
        if command.recover is not None:
            raise UsageError(f"recover for {parent.manifest.task.value}", expected="an encoder's task")
        return Int8Files(make_int8_writer(parent, target, data))
    tokenizer = target / parent.manifest.text.tokenizer
    tokenizer.parent.mkdir(parents=True)
    shutil.copyfile(parent.file(parent.manifest.text.tokenizer), tokenizer)
    calibration, recipe = _calibration(command, data), command.quantize
    with tempfile.TemporaryDirectory() as scratch:
        onnx, trained = _fp32_onnx(
            parent, Path(scratch), calibration, data=data, command=command, home=home, progress=progress
        )
        reads = flow_of(parent.manifest.task, parent.manifest.problem_type).reads
        made = quantise(onnx, target / "engine", calibration, recipe=recipe, reads=reads, progress=progress)
        kept = restored(made, onnx, calibration, judge=judge, progress=progress) if judge else None
    made = kept.made if kept else made
    progress.say(f"int8 made: {made.note}.")
    return Int8Files(made, kept, trained)


def _calibration(command: QuantizeCommand, data: PreparedData) -> list[Encoding]:
    rng = np.random.default_rng(command.seed)
    chosen = rng.permutation(len(data.train.sequences))[: command.quantize.calibration_rows]
    if len(chosen) < _LEAST_CALIBRATION:
        raise DataError(
            f"{len(chosen)} training texts to calibrate int8 on",
            expected=f"at least {_LEAST_CALIBRATION}",
            do="Train on more, or keep serving fp32.",
        )
    return [data.train.sequences[row] for row in chosen]


def _fp32_onnx(
    parent: Bundle,
    scratch: Path,
    probes: Sequence[Encoding],
    *,
    data: PreparedData,
    command: QuantizeCommand,
    home: Store,
    progress: Progress,
) -> tuple[Path, str | None]:
    """What int8 is made of, and what training did to it first."""
    engine = parent.manifest.engine
    if command.recover is None and engine is not None and engine.name == "onnxruntime":
        return parent.file(engine.file), None
    file, checkpoint, trained = scratch / "model.onnx", whole_checkpoint(parent, base=command.base), None
    if command.recover is not None:
        told = command.quantize.engine
        kind = told if told in ("onnxruntime", "openvino") else preferred_engine(describe_machine().instructions)[0]
        trained = recovered(
            parent,
            checkpoint,
            scratch / "trained",
            data=data,
            command=command,
            engine=kind,
            home=home,
            progress=progress,
        )
        checkpoint = scratch / "trained"
    export_onnx(checkpoint, file, probes or random_probes(vocabulary=100, max_tokens=16))
    return file, trained
