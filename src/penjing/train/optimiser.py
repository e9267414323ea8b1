"""What moves the weights, and the learning rate as a function of the step.

    adamw   Loshchilov and Hutter, "Decoupled weight decay regularization", 1711.05101: fused, over all weights
    muon    momentum, made orthogonal by five Newton–Schulz steps, over the layers' matrices; AdamW over all else
            Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024
            times 0.2 · √max(rows, columns), so that AdamW's rate and decay serve: Liu et al., 2502.16982, §2.2

Both are torch's own. Promise: what is kept of them is named by the weights, so that a state can be read back however
the weights are grouped or spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from penjing.train.parts import like
from penjing.train.recipe import TrainingRecipe


@final
class Optimiser:
    """One or two of torch's optimisers, as one.

    Args:
        parts: each weight is in one of them.
        names: of the weights, by identity.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer], names: Mapping[int, str]) -> None:
        self._parts, self._names = tuple(parts), names

    def set_rate(self, rate: float) -> None:
        """The learning rate of the next step."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate

    def forget_gradients(self) -> None:
        """Drop all gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Move the weights."""
        for part in self._parts:
            part.step()

    def state_of(self, weight: Tensor) -> dict[str, Any]:
        """What is kept of a weight, to be added to; empty before the first step."""
        found = next((part.state[weight] for part in self._parts if weight in part.state), None)
        return {} if found is None else found

    def moments(self) -> dict[str, Tensor]:
        """All that is kept, as ``weight's name.what``."""
        return {
            f"{self._names[id(weight)]}.{what}": value
            for part in self._parts
            for weight, state in part.state.items()
            for what, value in state.items()
        }

    def load(self, moments: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`moments` gave."""
        kept: dict[str, dict[str, Tensor]] = {}
        for key, value in moments.items():
            name, _, what = key.rpartition(".")
            kept.setdefault(name, {})[what] = value
        for part in self._parts:
            weights = [weight for group in part.param_groups for weight in group["params"]]
            names = [self._names[id(weight)] for weight in weights]
            state = {
                index: {what: like(value, weights[index]) for what, value in kept[name].items()}
                for index, name in enumerate(names)
                if name in kept
            }
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})


def build_optimiser(model: nn.Module, recipe: TrainingRecipe) -> Optimiser:
    """Over what is trainable. Vectors (biases, norms) are not decayed, nor what scales and rests at 1."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    layered = layer_matrices(model) if recipe.optimizer == "muon" else set()
    orthogonal = [weight for weight in trained.values() if id(weight) in layered]
    others = {name: weight for name, weight in trained.items() if id(weight) not in layered}
    plain = [weight for name, weight in others.items() if weight.dim() <= 1 or ".ia3_l." in name]
    undecayed = {id(weight) for weight in plain}
    groups = [
        {"params": [one for one in others.values() if id(one) not in undecayed], "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)]
    if orthogonal:
        rate, decay = recipe.learning_rate, recipe.weight_decay
        parts.append(torch.optim.Muon(orthogonal, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return Optimiser(parts, {id(weight): name for name, weight in trained.items()})


def layer_matrices(model: nn.Module) -> set[int]:
    """Identities of the matrices inside a model's layers, embeddings of positions there left out.

    Transformers keeps layers in lists, and nothing else that holds matrices.
    """
    stacks = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    inside = (module for stack in stacks for module in stack.modules() if not isinstance(module, nn.Embedding))
    return {id(weight) for module in inside for weight in module.parameters(recurse=False) if weight.dim() == 2}


def rate_factor(step: int, *, steps: int, warmup_fraction: float) -> float:
    """Share of the peak rate at a step: linear rise, then linear fall to 0 after the last step."""
    warmup = round(warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (steps - step) / max(1, steps - warmup)
