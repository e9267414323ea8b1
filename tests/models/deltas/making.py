"""A tiny base and a fine-tuning of it, as checkpoint directories."""

from pathlib import Path

import torch

from app.world import make_tokenizer
from models.tiny import VOCABULARY, tiny_model
from penjing.core.nouns import Task
from penjing.models.checkpoint import Checkpoint, inspect_checkpoint
from penjing.models.quiet import quiet_transformers

_TEXTS = ["the shuttle reached orbit", "足球 比赛 进球"]


def saved(model: torch.nn.Module, path: Path) -> Checkpoint:
    """Save a model with a tokenizer of no more ids than it knows."""
    with quiet_transformers():
        model.save_pretrained(path)
    make_tokenizer(_TEXTS, vocabulary=VOCABULARY).save_pretrained(path)
    return inspect_checkpoint(path)


def base_of(path: Path, family: str = "bert", *, seed: int = 0) -> Checkpoint:
    """A bare encoder in float32."""
    return saved(tiny_model(family, Task.FEATURE_EXTRACTION, dtype=torch.float32, seed=seed), path)


def tuned_from(base: Checkpoint, path: Path, *, seed: int = 1, layers: int | None = None) -> Checkpoint:
    """A classifier whose encoder has moved a little from the base's; with ``layers`` only its last so many."""
    from penjing.models.loading import load_model

    torch.manual_seed(seed)
    model = load_model(base, Task.TEXT_CLASSIFICATION, [f"label {at}" for at in range(5)])
    moved = model if layers is None else model.base_model.encoder.layer[-layers:]
    with torch.no_grad():
        for weight in moved.parameters():
            weight.add_(torch.randn_like(weight) * 1e-3)
    return saved(model, path)
