"""Models in the making as engine files, to be timed and weighed: what serving would load of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from penjing.app.publishing import export_fp32
from penjing.app.recipes import ExportRecipe
from penjing.app.smaller_recipes import PruneCommand
from penjing.compress.latency import times_ms
from penjing.compress.quantize import make_int8, preferred_engine
from penjing.core.machine import describe_machine
from penjing.engines import EngineName
from penjing.models.checkpoint import Checkpoint
from penjing.models.loading import save_checkpoint
from penjing.models.packed import PackedEncoder
from penjing.tokens import Encoding, Reads

_ROUNDS, _TEXTS = 7, 48


@dataclass(frozen=True, slots=True)
class EngineFile:
    """A model as it would be served."""

    engine: EngineName
    path: Path
    bytes: int


class Engines(Protocol):
    """Makes engine files of models, and times them.

    Attributes:
        engine, precision: of the files.
        texts: what they are timed on.
        reads: what the models' head reads of each.
    """

    engine: EngineName
    precision: Literal["fp32", "int8"]
    texts: Sequence[Encoding]
    reads: Reads

    def file_of(self, model: Any) -> EngineFile:
        """Export a model."""

    def times_ms(self, files: Sequence[EngineFile]) -> list[float]:
        """Milliseconds a text of each, in turns."""


class Exporter:
    """Makes engine files of models, one after another, in a scratch directory.

    Args:
        command: which engine and precision.
        checkpoint: where tokenizers come from.
        texts: some training texts, to prove and to calibrate with.
        reads: what the head reads of each.
        scratch: an empty directory.
    """

    def __init__(
        self, command: PruneCommand, checkpoint: Checkpoint, texts: Sequence[Encoding], *, reads: Reads, scratch: Path
    ) -> None:
        self.texts, self.reads = texts[:_TEXTS], reads
        self.precision: Literal["fp32", "int8"] = command.target.precision if command.target else "fp32"
        wanted = command.export.engine
        native: EngineName = "openvino" if wanted == "openvino" else "onnxruntime"
        self.engine: EngineName = (
            native if self.precision == "fp32" else preferred_engine(describe_machine().instructions)[0]
        )
        self._checkpoint, self._scratch, self._made = checkpoint, scratch, 0

    def file_of(self, model: Any) -> EngineFile:
        """See :class:`Engines`.

        Raises:
            ExportError, ParityError: it does not answer as it should.
            ResourceError: the disk is full.
        """
        self._made += 1
        place = self._scratch / str(self._made)
        save_checkpoint(model, self._checkpoint.path, place / "checkpoint")
        fp32 = self.engine if self.precision == "fp32" else "onnxruntime"
        spec, _ = export_fp32(place, ExportRecipe(engine=fp32), probes=self.texts[:8])
        path = place / spec.file
        if self.precision == "int8":
            path = make_int8(self.engine, path, target=place / "int8", calibration=self.texts, reads=self.reads)
        size = sum(file.stat().st_size for file in path.parent.iterdir()) + self._checkpoint.tokenizer.stat().st_size
        return EngineFile(self.engine, path, size)

    def times_ms(self, files: Sequence[EngineFile]) -> list[float]:
        """See :class:`Engines`."""
        named = [(file.engine, file.path) for file in files]
        return times_ms(named, self.texts, reads=self.reads, rounds=_ROUNDS)


@contextmanager
def exporting(
    command: PruneCommand, checkpoint: Checkpoint, model: Any, *, texts: Sequence[Encoding]
) -> Iterator[Exporter]:
    """An exporter of models like ``model``, whose files are gone when the block ends."""
    with tempfile.TemporaryDirectory() as scratch:
        yield Exporter(command, checkpoint, texts, reads=PackedEncoder(model).head.reads, scratch=Path(scratch))
