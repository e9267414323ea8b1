"""``penjing export --format savedmodel``: any supported checkpoint as a TensorFlow SavedModel, with proof."""

from __future__ import annotations

import tempfile
from pathlib import Path

from penjing.app.export import parent_of
from penjing.app.importing import copy_ready, longest_of, probes_for, task_for
from penjing.core.errors import UsageError
from penjing.core.nouns import Measurement
from penjing.export.saved_model import write_saved_model
from penjing.models.checkpoint import find_checkpoint


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
    if target.exists():
        raise UsageError(f"{target} exists", expected="a new directory", do="Choose another name or remove it.")
    checkpoint = find_checkpoint(source)
    task, longest = task_for(checkpoint), longest_of(checkpoint)
    with tempfile.TemporaryDirectory(dir=parent_of(target)) as scratch:
        ready, draft = Path(scratch) / "checkpoint", Path(scratch) / "model"
        copy_ready(checkpoint, ready, task, longest=longest)
        difference = write_saved_model(ready, draft, probes_for(checkpoint, longest), python=tensorflow_python)
        draft.rename(target)
    return difference
