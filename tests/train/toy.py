"""A task that a tiny model learns in seconds, and watchers of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from models.tiny import tiny_model
from penjing.models.packed import PackedEncoder
from penjing.tasks import text_classification
from penjing.tokens import Encoding
from penjing.train.loop import TrainingResult, train
from penjing.train.profile import UNTIMED, Clock
from penjing.train.ranks import ALONE, Ranks
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet

CLASSES = 3
FAST = {"threads": 1, "precision": "fp32", "epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "dropout": 0.0}


def toy_set(rows: int = 64, *, longest: int = 12, seed: int = 0) -> TrainingSet:
    """Random sequences; one token among them, 5 + its class, tells the class."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, CLASSES, rows)
    sequences = []
    for target in targets:
        ids = rng.integers(20, 99, int(rng.integers(3, longest + 1)))
        ids[rng.integers(0, len(ids))] = 5 + target
        sequences.append(Encoding(ids))
    return TrainingSet(sequences, targets.astype(np.int64))


def toy_encoder(dtype: torch.dtype = torch.float32) -> PackedEncoder:
    """Always the same fresh model."""
    return PackedEncoder(tiny_model("bert", dtype=dtype))


def run(
    encoder: PackedEncoder,
    data: TrainingSet,
    *,
    validation: TrainingSet | None = None,
    states: StateDirectory | None = None,
    watcher: Watcher | None = None,
    clock: Clock = UNTIMED,
    ranks: Ranks = ALONE,
    objective: Callable[..., torch.Tensor] = text_classification.loss,
    seed: int = 7,
    **settings: object,
) -> TrainingResult:
    """Train with settings on top of :data:`FAST`."""
    recipe = TrainingRecipe(**{**FAST, **settings})
    options = {
        "validation": validation,
        "states": states,
        "progress": watcher or Watcher(),
        "clock": clock,
        "ranks": ranks,
    }
    return train(encoder, data, objective, recipe=recipe, seed=seed, **options)


def weights_of(encoder: PackedEncoder) -> dict[str, np.ndarray]:
    """A copy of all weights."""
    return {name: weight.detach().numpy().copy() for name, weight in encoder.model.named_parameters()}


class Watcher:
    """A progress that remembers what was said, and may do something at each step of the training."""

    def __init__(self, at_step: Callable[[int], None] = lambda _: None) -> None:
        self.said: list[str] = []
        self.at_step = at_step
        self.steps = 0

    def say(self, line: str) -> None:
        self.said.append(line)

    @contextmanager
    def stage(self, name: str, *, total: float) -> Iterator[Watcher]:
        del name, total
        yield self

    def advance(self, amount: float = 1, **facts: float) -> None:
        del amount
        if "loss" in facts:
            self.steps += 1
            self.at_step(self.steps)
