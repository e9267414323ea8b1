"""Quantisation-aware training: a version learns to answer as it did with weights and inputs rounded as in int8.

The version itself teaches, through its engine; the student starts from its weights and is trained by the loop that
distils, under :func:`penjing.train.rounding.rounded`. What comes out is fp32 weights whose int8 form is made as ever.

Trade: these weights are not kept, as those of no int8 form are; the version that is quantised has its own.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import PreparedData
from penjing.app.recipes import QuantizeCommand, RecoverRecipe
from penjing.app.smaller_recipes import DistillCommand
from penjing.app.teachers import OUTPUTS, find_teachers, mean_outputs
from penjing.core.files import digest
from penjing.core.progress import Progress
from penjing.core.recipe import recipe_digest
from penjing.engines import EngineName
from penjing.models.checkpoint import inspect_checkpoint
from penjing.store import Bundle, Store

# ONNX Runtime's dynamic kind leaves one bit of the weights free (penjing.compress.kinds).
_WEIGHT_BITS: dict[EngineName, int] = {"onnxruntime": 7, "openvino": 8}


def recovered(
    parent: Bundle,
    checkpoint: Path,
    target: Path,
    *,
    data: PreparedData,
    command: QuantizeCommand,
    engine: EngineName,
    home: Store,
    progress: Progress,
) -> str:
    """Train and write a checkpoint into ``target``.

    Killed at any point and called again with the same recipe, it goes on from its last state.

    Args:
        parent: teaches, and is where training starts.
        checkpoint: its weights, whole.
        target: the directory to write.
        data: its training split is learnt.
        command: settings.
        engine: whose rounding is learnt.
        home: keeps states and what the teacher said.
        progress: where to show it.

    Returns:
        what was done, in a sentence.

    Raises:
        UsageError: of a task that is not taught.
    """
    said = _answers(parent, data, home, progress=progress)
    states = home.root / ".runs" / digest({"recipe": recipe_digest(command), "parent": parent.digest})[:16]
    from penjing.app.studying import Lessons, train_student  # only now: it loads torch
    from penjing.train.rounding import rounded

    progress.say(f"Training with the rounding of int8 in {engine}.")
    with rounded(weight_bits=_WEIGHT_BITS[engine]):
        trained = train_student(
            _learning(command, parent),
            inspect_checkpoint(checkpoint),
            parent.manifest.task,
            lessons=Lessons(data, (), said, (), None),
            states=states,
            target=target,
            progress=progress,
        )
    shutil.rmtree(states, ignore_errors=True)
    return f"trained with int8's rounding for {trained.steps:,} steps, taught by {parent.reference}"


def _learning(command: QuantizeCommand, parent: Bundle) -> DistillCommand:
    told = command.recover or RecoverRecipe()
    return DistillCommand(
        name=parent.manifest.model,
        teachers=(parent.reference,),
        distill=told.distill,
        training=told.training,
        seed=command.seed,
    )


def _answers(parent: Bundle, data: PreparedData, home: Store, *, progress: Progress) -> list[npt.NDArray[np.float32]]:
    """The version's outputs for the training split."""
    with tempfile.TemporaryDirectory() as scratch:
        teachers = find_teachers([parent.reference], home=home, scratch=Path(scratch), progress=progress)
    asked = [data.train.sequences]
    return mean_outputs(teachers, asked, labels=data.outputs, cache=home.root / OUTPUTS, progress=progress)
