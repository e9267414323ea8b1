"""What every process but the first does in a fine-tuning by several: the same training, and nothing else."""

from __future__ import annotations

from pathlib import Path

from penjing.app.finetune import prepared, refuse_scratch_by_several, run_directory
from penjing.app.recipes import FinetuneRecipe
from penjing.app.training import fit
from penjing.core.nouns import Task
from penjing.core.progress import SILENT
from penjing.models.checkpoint import find_checkpoint


def take_part(recipe: FinetuneRecipe, *, store: Path) -> None:
    """Train with the others, and write nothing.

    Args:
        recipe: the same as theirs.
        store: where a killed run's states lie, if it has any.

    Raises:
        PenjingError: as for the first process.
    """
    refuse_scratch_by_several(recipe)
    checkpoint = find_checkpoint(recipe.model)
    data = prepared(recipe, checkpoint, SILENT)
    embedding = checkpoint.embedding if recipe.task is Task.FEATURE_EXTRACTION else None
    states = run_directory(store, recipe, data=data, checkpoint=checkpoint)
    fit(recipe, checkpoint, data, embedding=embedding, states=states, progress=SILENT)
