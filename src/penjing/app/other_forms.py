"""``penjing export --format``: a checkpoint in a form that other programs load, outside a store, with proof."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.app.export import parent_of
from penjing.app.importing import copy_ready, longest_of, probes_for, task_for
from penjing.core.errors import UsageError
from penjing.core.nouns import Measurement
from penjing.export.padded import Form, write_padded
from penjing.export.saved_model import write_saved_model
from penjing.models.checkpoint import find_checkpoint
from penjing.tokens import Encoding


def export_saved_model(source: str, target: Path, *, tensorflow_python: Path | None = None) -> Measurement:
    """Write a SavedModel from a checkpoint.

    Args:
        source: a checkpoint, as of :func:`penjing.app.export.export_checkpoint`.
        target: the directory to write; TensorFlow Serving wants a number for its name.
        tensorflow_python: an interpreter that has TensorFlow; None is this one.

    Returns:
        the largest difference from Transformers, as a share of the outputs' scale.

    Raises:
        UsageError: ``target`` exists.
        ResourceError: TensorFlow is not installed.
        CheckpointError, ExportError, ParityError: nothing is written.
    """
    with _ready(source, target) as (checkpoint, probes, draft):
        difference = write_saved_model(checkpoint, draft, probes, python=tensorflow_python)
        draft.rename(target)
    return difference


def export_padded(source: str, target: Path, *, form: Form) -> Measurement:
    """Write a directory with a plain ONNX or OpenVINO graph, and configuration and tokenizer beside it.

    Args:
        source: a checkpoint, as of :func:`penjing.app.export.export_checkpoint`.
        target: the directory to write.
        form: which graph.

    Returns:
        the largest difference from Transformers, as a share of the outputs' scale.

    Raises:
        UsageError: ``target`` exists.
        CheckpointError, ExportError, ParityError: nothing is written.
    """
    with _ready(source, target) as (checkpoint, probes, draft):
        draft.mkdir()
        difference = write_padded(checkpoint, draft, probes, form=form)
        for file in sorted(checkpoint.glob("*")):
            if file.suffix in (".json", ".txt", ".model") and not file.name.endswith(".index.json"):
                shutil.copyfile(file, draft / file.name)
        draft.rename(target)
    return difference


@contextmanager
def _ready(source: str, target: Path) -> Iterator[tuple[Path, list[Encoding], Path]]:
    """A copy of the checkpoint that any exporter reads, sequences to compare on, and a place beside the target."""
    if target.exists():
        raise UsageError(f"{target} exists", expected="a new directory", do="Choose another name or remove it.")
    checkpoint = find_checkpoint(source)
    task, longest = task_for(checkpoint), longest_of(checkpoint)
    with tempfile.TemporaryDirectory(dir=parent_of(target)) as scratch:
        copy_ready(checkpoint, Path(scratch) / "checkpoint", task, longest=longest)
        yield Path(scratch) / "checkpoint", probes_for(checkpoint, longest), Path(scratch) / "model"
