"""Looks at held-out loss while training: when to look, when to stop, and the best weights so far.

Promise: a look changes nothing of the run but when it ends and which weights it ends with; it draws
no random numbers, so a resumed run looks and decides as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from penjing.train.parts import put_into
from penjing.train.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class Best:
    """The best look so far.

    Attributes:
        step: steps done then.
        loss: mean held-out loss.
        weights: copies of what is trained; empty where they are not kept.
    """

    step: int
    loss: float
    weights: Mapping[str, Tensor]


class Watch:
    """When to look, and what came of it.

    Args:
        recipe: how often, how patiently, and whether the best weights are kept.
        steps: of the run.
        steps_per_epoch: of one epoch.
        best: of an earlier part of the run.
        looks_since: looks after the best one.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        *,
        steps: int,
        steps_per_epoch: int,
        best: Best | None = None,
        looks_since: int = 0,
    ) -> None:
        self._every = max(1, round((recipe.validate_every or 1.0) * steps_per_epoch))
        self._steps, self._patience = steps, recipe.patience
        self._keeps_weights = recipe.keep == "best"
        self.best, self.looks_since = best, looks_since

    @property
    def best_step(self) -> int:
        """Steps done at the best look, 0 before the first."""
        return self.best.step if self.best else 0

    def is_due(self, done: int) -> bool:
        """Whether to look after ``done`` steps: at regular distances, and at the end."""
        return done % self._every == 0 or done == self._steps

    def take(self, loss: float, model: nn.Module, *, done: int) -> bool:
        """Note a look.

        Returns:
            Whether the run has been looked at often enough without getting better.
        """
        if self.best is None or loss < self.best.loss:
            weights = trainable(model, copied=True) if self._keeps_weights else {}
            self.best, self.looks_since = Best(done, loss, weights), 0
        else:
            self.looks_since += 1
        return self._patience is not None and self.looks_since >= self._patience

    def restore_best(self, model: nn.Module) -> None:
        """Put the best weights back, where they are kept."""
        if self.best is not None and self.best.weights:
            put_into(model, self.best.weights)


def trainable(model: nn.Module, *, copied: bool = False) -> dict[str, Tensor]:
    """What is trained, by name."""
    found = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: torch.clone(weight) for name, weight in found.items()} if copied else found
