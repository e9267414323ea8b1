"""Trainings that cannot be, told before they begin."""

from __future__ import annotations

from penjing.core.errors import DataError, UsageError
from penjing.models.decoder import PackedModel
from penjing.train.ranks import Ranks
from penjing.train.recipe import TrainingRecipe
from penjing.train.training_set import TrainingSet


def refuse_impossible(
    encoder: PackedModel, data: TrainingSet, recipe: TrainingRecipe, *, validation: TrainingSet | None, ranks: Ranks
) -> None:
    """Say what a training lacks.

    Raises:
        DataError: nothing to train on.
        UsageError: settings that this model, data or place cannot meet.
    """
    if not data.sequences:
        raise DataError("the training split is empty", expected="at least one row")
    if ranks.count > 1 and data.together > 1:
        raise UsageError(
            f"{ranks.count} processes train on pairs, each of which is told apart from all others of its step",
            expected="one process",
        )
    if recipe.validate_every is not None and validation is None:
        raise UsageError(
            "training.validate_every is set, and there is no validation split",
            expected="data.validation, or data.validation_fraction: 0.05 to hold one out",
        )
    layers = encoder.depth
    if recipe.frozen_layers > layers:
        raise UsageError(f"frozen_layers is {recipe.frozen_layers}", expected=f"0 to {layers}, the model's layers")
