"""AdamW with the usual groups, and the learning rate as a function of the step."""

from __future__ import annotations

import torch
from torch import nn

from penjing.train.recipe import TrainingRecipe


def build_optimiser(model: nn.Module, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """Fused AdamW over what is trainable; vectors (biases, norms) are not decayed, nor what scales and rests at 1.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
    """
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    decayed = [weight for name, weight in trained if weight.dim() > 1 and ".ia3_l." not in name]
    others = [weight for name, weight in trained if weight.dim() <= 1 or ".ia3_l." in name]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def rate_factor(step: int, *, steps: int, warmup_fraction: float) -> float:
    """Share of the peak rate at a step: linear rise, then linear fall to 0 after the last step."""
    warmup = round(warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (steps - step) / max(1, steps - warmup)
