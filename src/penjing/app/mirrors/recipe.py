"""Where a run is mirrored."""

from __future__ import annotations

from pydantic import BaseModel

from penjing.core.nouns import Frozen
from penjing.core.recipe import recipe_digest


class MirrorRecipe(Frozen):
    """Other programs that show a training run while it goes on. What fails there is told once; the run goes on.

    Attributes:
        tensorboard: a folder for TensorBoard; each run has a folder of its own in it.
        mlflow: a tracking URI of MLflow, ``http://host:5000`` or ``sqlite:///mlflow.db``, without a password; or
            ``env:VARIABLE`` that holds one.
        experiment: of MLflow; None is the model's name.
    """

    tensorboard: str | None = None
    mlflow: str | None = None
    experiment: str | None = None


def run_digest(recipe: BaseModel) -> str:
    """Digest of a recipe with the key ``mirrors``, by which a run is known: where it is mirrored changes no run."""
    return recipe_digest(recipe.model_copy(update={"mirrors": MirrorRecipe()}))
