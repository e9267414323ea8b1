"""One trial of a search: train, and judge what was trained on the validation split without exporting it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from penjing.app.prepared import Part, PreparedData
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import flow_of
from penjing.app.training import fit
from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import PackedBatch


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial is worth.

    Attributes:
        metric: what is made large.
        value: how large it is.
    """

    metric: str
    value: float


def try_recipe(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    states: Path,
    looked: Callable[[float, float], bool],
    progress: Progress,
) -> Tried | None:
    """Train by a recipe and judge on the validation split.

    Args:
        recipe: of the trial.
        checkpoint: where training starts.
        data: with a validation split.
        states: where resumable states are kept.
        looked: told of each look, (share of the way, loss); says whether to give the trial up.
        progress: where to show it.

    Returns:
        what it is worth; None where it was given up.
    """
    looks: list[float] = []
    given_up = False

    def told(share: float, loss: float) -> bool:
        nonlocal given_up
        looks.append(loss)
        given_up = looked(share, loss)
        return given_up

    embedding = checkpoint.embedding if recipe.task is Task.FEATURE_EXTRACTION else None
    packed = fit(recipe, checkpoint, data, embedding=embedding, states=states, progress=progress, on_look=told).packed
    if given_up:
        return None
    if not isinstance(packed, PackedEncoder):  # what writes is judged by its loss
        return Tried("minus the validation loss", -min(looks))
    return _judge(packed, recipe, data, progress)


def _judge(packed: PackedEncoder, recipe: FinetuneRecipe, data: PreparedData, progress: Progress) -> Tried:
    part, flow = _validation_of(data), flow_of(recipe.task, recipe.problem)
    engine, settings = _InProcess(packed), flow.settings_of(data.train)
    found = settings | flow.tune(engine, part, data.outputs, decoding=settings)
    judged = flow.judge(engine, part, data.outputs, decoding=found, name="Judging", progress=progress)
    return Tried(judged.metric, judged.result.metrics[judged.metric].value)


def _validation_of(data: PreparedData) -> Part:
    if data.validation is None:
        raise DataError("there is no validation split", expected="rows to judge a trial on")
    return data.validation


class _InProcess:
    """The model as it was trained, in the place of an engine."""

    name, instances = "torch", 1

    def __init__(self, packed: PackedEncoder) -> None:
        self._packed = packed.eval()

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :class:`penjing.engines.Engine`."""
        with torch.no_grad():
            outputs: npt.NDArray[np.float32] = self._packed(PackedTensors.of(batch)).float().numpy()
        return outputs

    def close(self) -> None:
        """Nothing is held."""
