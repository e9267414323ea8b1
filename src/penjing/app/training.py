"""The step of a fine-tuning that needs torch, in a module of its own: loading torch takes seconds."""

from __future__ import annotations

from pathlib import Path

import torch

from penjing.app.prepared import Part, PreparedData
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import flow_of
from penjing.core.nouns import Embedding
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint
from penjing.models.decoder import PackedDecoder, packed_model
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.pooling import write_embedding
from penjing.train.loop import TrainingResult, train
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet


def train_checkpoint(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    embedding: Embedding | None,
    states: Path,
    target: Path,
    progress: Progress,
) -> TrainingResult:
    """Train and write the checkpoint.

    Args:
        recipe: settings.
        checkpoint: where training starts.
        data: its training and validation splits are used.
        embedding: how texts become vectors, where they are to.
        states: where resumable states are kept.
        target: where the new checkpoint goes.
        progress: where to show it.
    """
    torch.manual_seed(recipe.seed)  # the first weights of the new head
    model = load_model(checkpoint, recipe.task, data.outputs or None)
    packed = packed_model(model, embedding)
    settings = recipe.training
    if isinstance(packed, PackedDecoder):
        settings = settings.model_copy(update={"pass_tokens": min(settings.pass_tokens, packed.most_tokens)})
    trained = train(
        packed,
        _training_set(data.train),
        flow_of(recipe.task).objective(data.train, recipe.training),
        recipe=settings,
        seed=recipe.seed,
        validation=_training_set(data.validation) if data.validation else None,
        states=None if recipe.training.save_every_s is None else StateDirectory(states, run_id=states.name),
        progress=progress,
    )
    save_checkpoint(model, checkpoint.path, target)
    if embedding:
        write_embedding(target, embedding, longest=recipe.text.max_tokens)
    return trained


def _training_set(part: Part) -> TrainingSet:
    return TrainingSet(part.sequences, part.targets, part.weights, together=part.together)
