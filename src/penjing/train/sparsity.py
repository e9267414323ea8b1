"""Single weights of an encoder's layers that are zero, and stay so while all others are trained.

Which go    magnitude |w|; taylor Σ |w · ∂L/∂w|           Han et al., 1506.02626; Molchanov et al., 1906.10771
            movement −Σ w · ∂L/∂w over the steps so far    Sanh et al., 2005.07683, equation 3
How fast    s(t) = s · (1 − (1 − t)³), t from 0 to 1 between two points of the run      Zhu and Gupta, 1710.01878

Promise: a zero never comes back, whoever set it: a pruned model that is trained again keeps its zeros. A run that was
killed goes on bit for bit: zeros are read off the weights, and movement is kept with the optimiser's moments.

Trade: in the source of movement pruning a weight that was cut may grow back; here it may not, which spares a second
copy of the weights. Embeddings, norms, biases and heads are never pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penjing.core.errors import UsageError
from penjing.models.decoder import PackedModel
from penjing.models.packed import PackedEncoder
from penjing.train.optimiser import Optimiser
from penjing.train.recipe import Scope, TrainingRecipe

_MATRICES = ("query", "key", "value", "attention_out", "up", "down")
_MOVEMENT = "movement"


def layer_matrices(encoder: PackedEncoder) -> list[Tensor]:
    """The weights that may be pruned: the matrices of all layers, but for those under an adapter."""
    modules = [getattr(layer, part) for layer in encoder.parts.layers for part in _MATRICES]
    return [module.weight for module in modules if isinstance(module, nn.Linear)]


def sparsity_of(matrices: Sequence[Tensor]) -> float:
    """Share of zeros."""
    zeros = sum(int((weight == 0).sum()) for weight in matrices)
    return zeros / max(1, sum(weight.numel() for weight in matrices))


@torch.no_grad()
def zero_smallest(matrices: Sequence[Tensor], scores: Sequence[Tensor], *, share: float, scope: Scope) -> None:
    """Set to zero those weights that score least, and all that are zero already, until ``share`` of them are.

    Args:
        matrices: changed in place.
        scores: of each weight, the higher the dearer.
        share: 0 to 1.
        scope: ``global`` compares all with all, ``matrix`` each with those of its own matrix.
    """
    ranked = [score.masked_fill(weight == 0, -torch.inf) for weight, score in zip(matrices, scores, strict=True)]
    for group in [range(len(ranked))] if scope == "global" else [[at] for at in range(len(ranked))]:
        flat = np.concatenate([ranked[at].reshape(-1).numpy() for at in group])
        count = round(share * len(flat))
        if count == 0:
            continue
        gone = np.zeros(len(flat), bool)
        gone[np.argpartition(flat, count - 1)[:count]] = True
        for at, part in zip(group, np.split(gone, np.cumsum([ranked[at].numel() for at in group])[:-1]), strict=True):
            matrices[at][torch.from_numpy(part).view_as(matrices[at])] = 0


class Zeros:
    """What a run does about zeros: holds those that are there, and makes more as the recipe says.

    Args:
        model: trained in place.
        optimiser: keeps the movement of each weight.
        recipe: settings.
        steps: of the run.

    Raises:
        UsageError: more sparsity is asked of a model that is no encoder.
    """

    def __init__(self, model: PackedModel, optimiser: Optimiser, recipe: TrainingRecipe, *, steps: int) -> None:
        encoder = model if isinstance(model, PackedEncoder) else None
        if encoder is None and recipe.sparsity is not None:
            raise UsageError("training.sparsity of a model that writes", expected="an encoder")
        self._told, self._optimiser, self._steps = recipe.sparsity, optimiser, steps
        holds = encoder is not None and (recipe.keep_zeros or recipe.sparsity is not None)
        found = layer_matrices(encoder) if encoder and holds else []
        self._matrices = [weight for weight in found if weight.requires_grad]
        self._masks: list[tuple[Tensor, Tensor]] = []

    def look(self) -> None:
        """Take the zeros of the weights as they are now for those to be held."""
        self._masks = [(weight, weight.detach() == 0) for weight in self._matrices]
        self._masks = [(weight, mask) for weight, mask in self._masks if bool(mask.any())]

    @torch.no_grad()
    def before_update(self) -> None:
        """Note where the weights are about to move."""
        if self._told is None or self._told.by == "magnitude":
            return
        for weight, state in self._states():
            if weight.grad is None or not state:  # the optimiser lays its state out at its first step
                continue
            moved = weight * weight.grad
            noted = state.setdefault(_MOVEMENT, torch.zeros_like(weight))
            noted.sub_(moved) if self._told.by == "movement" else noted.add_(moved.abs())

    def cut(self, done: int) -> None:
        """Make those zeros that are due after ``done`` steps."""
        told, share_done = self._told, done / self._steps
        if told is None or share_done <= told.begin < told.end:
            return
        is_last = share_done >= told.end > (done - 1) / self._steps
        if is_last or (share_done < told.end and done % told.every_steps == 0):
            zero_smallest(self._matrices, self._scores(), share=told.share_at(share_done), scope=told.scope)
            self.look()

    @torch.no_grad()
    def hold(self) -> None:
        """Put the zeros back."""
        for weight, mask in self._masks:
            weight.masked_fill_(mask, 0)

    def _scores(self) -> list[Tensor]:
        if self._told is None or self._told.by == "magnitude":
            return [weight.detach().abs() for weight in self._matrices]
        return [state.get(_MOVEMENT, torch.zeros_like(weight)) for weight, state in self._states()]

    def _states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        for weight in self._matrices:
            yield weight, self._optimiser.state_of(weight)
