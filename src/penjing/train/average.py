"""An exponential average of the weights over the steps: less noise of the last batches in the weights kept.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992, with the decay
warmed up as min(d, (1 + t) / (10 + t)) so that the first weights are soon forgotten. Price: one more copy
of what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from penjing.train.parts import like, put_into
from penjing.train.watch import trainable


class Average:
    """The average so far.

    Args:
        model: what is trained of it is averaged.
        decay: share of the old average that stays at a step.
        weights: of an earlier part of the run; empty begins with the model's own.
    """

    def __init__(self, model: nn.Module, *, decay: float, weights: Mapping[str, Tensor]) -> None:
        self._decay = decay
        own = trainable(model)
        self.weights = {name: like(one, own[name]) for name, one in weights.items()} or trainable(model, copied=True)

    @torch.no_grad()
    def take(self, model: nn.Module, *, done: int) -> None:
        """Take the weights after ``done`` steps in."""
        share = 1 - min(self._decay, (1 + done) / (10 + done))
        for name, weight in trainable(model).items():
            self.weights[name].lerp_(weight, share)

    def put_into(self, model: nn.Module) -> None:
        """Make the average the model's weights."""
        put_into(model, self.weights)
