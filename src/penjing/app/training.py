"""The step of a fine-tuning that needs torch, in a module of its own: loading torch takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penjing.app.contrast import contrast
from penjing.app.holding import delta_folder
from penjing.app.prepared import Part, PreparedData
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import flow_of
from penjing.core.nouns import Embedding, Problem, Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint, copy_tokenizer
from penjing.models.decoder import PackedModel, packed_model
from penjing.models.deltas.adapters import Adapters
from penjing.models.deltas.difference import read_base
from penjing.models.deltas.restoring import restore
from penjing.models.heads import rescale_outputs
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedEncoder
from penjing.models.pooling import write_embedding
from penjing.tasks.regression import Scale
from penjing.tokens.compact import CompactEncodings
from penjing.train.loop import TrainingResult, train
from penjing.train.profile import UNTIMED, Clock, Profile
from penjing.train.ranks import joined
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import StateDirectory
from penjing.train.step import OnLook, OnStep, unheard
from penjing.train.training_set import TrainingSet


def train_checkpoint(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    embedding: Embedding | None,
    states: Path,
    target: Path,
    on_step: OnStep = unheard,
    clock: Clock = UNTIMED,
    progress: Progress,
) -> TrainingResult:
    """Train and write the checkpoint.

    Args:
        recipe: settings.
        checkpoint: where training starts.
        data: its training and validation splits are used.
        embedding: how texts become vectors, where they are to.
        states: where resumable states are kept.
        target: where the new checkpoint goes; what was added to the base, where adapters were trained, beside it.
        on_step: told of each step and its record.
        clock: told of the parts.
        progress: where to show it.
    """
    fitted = fit(
        recipe,
        checkpoint,
        data,
        embedding=embedding,
        states=states,
        on_step=on_step,
        clock=clock,
        progress=progress,
    )
    if isinstance(clock, Profile):
        clock.measure_bound(fitted.result.precision)
    _write(fitted, checkpoint, target=target, embedding=embedding, longest=recipe.text.max_tokens)
    return fitted.result


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model.

    Attributes:
        packed: in evaluation mode.
        adapters: those that were trained, if any.
        result: how it went.
    """

    packed: PackedModel
    adapters: Adapters | None
    result: TrainingResult


def fit(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    embedding: Embedding | None,
    states: Path,
    on_look: OnLook | None = None,
    on_step: OnStep = unheard,
    clock: Clock = UNTIMED,
    progress: Progress,
) -> Fitted:
    """Train, and write nothing but states. Arguments as of :func:`train_checkpoint`, and of the loop's ``train``."""
    model, adapters = _load(recipe, checkpoint, data, progress)
    packed = packed_model(model, embedding)
    with joined() as ranks, _numbers_scaled(model, checkpoint, recipe=recipe, numbers=data.train.targets):
        trained = train(
            packed,
            training_set(data.train),
            flow_of(recipe.task, recipe.problem).objective(data.train, recipe.training),
            recipe=within(packed, recipe.training),
            seed=recipe.seed,
            validation=training_set(data.validation) if data.validation else None,
            states=None if recipe.training.save_every_s is None else StateDirectory(states, run_id=states.name),
            on_look=on_look,
            on_step=on_step,
            clock=clock,
            ranks=ranks,
            progress=progress,
        )
    return Fitted(packed, adapters, trained)


def _load(
    recipe: FinetuneRecipe, checkpoint: Checkpoint, data: PreparedData, progress: Progress
) -> tuple[Any, Adapters | None]:
    """The model as training begins, and its adapters where such are to be trained."""
    torch.manual_seed(recipe.seed)  # the first weights of the new head
    model, told = load_model(checkpoint, recipe.task, data.outputs or None, problem=recipe.problem), recipe.training
    contrast(model, data.train, recipe=recipe, progress=progress)
    return model, Adapters(model, told.delta, frozen_layers=told.frozen_layers) if told.delta else None


@contextmanager
def _numbers_scaled(model: Any, checkpoint: Checkpoint, *, recipe: FinetuneRecipe, numbers: Any) -> Iterator[None]:
    """Let the head of a regression learn in units of the numbers' spread, and in the end give them in their own."""
    if recipe.problem is not Problem.REGRESSION:
        yield
        return
    scale = Scale.of(np.asarray(numbers))
    if checkpoint.task is Task.TEXT_CLASSIFICATION and checkpoint.problem is Problem.REGRESSION:  # its head gives them
        rescale_outputs(model, factor=1 / scale.spread, shift=-scale.mean / scale.spread)
    yield
    rescale_outputs(model, factor=scale.spread, shift=scale.mean)


def within(packed: PackedModel, told: TrainingRecipe) -> TrainingRecipe:
    """The recipe with passes that the model takes."""
    if isinstance(packed, PackedEncoder):
        return told
    return told.model_copy(update={"pass_tokens": min(told.pass_tokens, packed.most_tokens)})


def _write(fitted: Fitted, checkpoint: Checkpoint, *, target: Path, embedding: Embedding | None, longest: int) -> None:
    """Write what was trained as a whole checkpoint; where only adapters were, as a delta beside it too."""
    adapters = fitted.adapters
    at = target if adapters is None else delta_folder(target)
    if adapters is None:
        save_checkpoint(fitted.packed.model, checkpoint.path, at)
    else:
        copy_tokenizer(checkpoint.path, at)
        delta = adapters.save(read_base(checkpoint), at)
    if embedding:
        write_embedding(at, embedding, longest=longest)
    if adapters is not None:
        target.mkdir(parents=True)
        restore(delta, checkpoint, target)


def training_set(part: Part) -> TrainingSet:
    """A part as the loop takes it."""
    lengths = part.sequences.lengths if isinstance(part.sequences, CompactEncodings) else None
    return TrainingSet(part.sequences, part.targets, part.weights, together=part.together, lengths=lengths)
