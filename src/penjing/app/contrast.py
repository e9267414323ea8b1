"""Few labels: before the head learns, the encoder learns from pairs which texts have the same label.

A pair is a text and another of its label; within a step the second texts of other labels are what it must not
be near to. The vector is that of the first token, for a classifier reads it, so what comes out is an ordinary
classifier whose head then has little left to learn.

Source: Tunstall et al. 2022, "Efficient few-shot learning without prompts" (SetFit), arXiv 2209.11055, for pairs
from few labels; Khosla et al. 2020, "Supervised contrastive learning", arXiv 2004.11362, for labels as rivals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.app.recipes import FinetuneRecipe
from penjing.core.nouns import Embedding
from penjing.core.progress import Progress
from penjing.models.decoder import packed_model
from penjing.tasks import feature_extraction
from penjing.train.loop import train
from penjing.train.training_set import TrainingSet

Ints = npt.NDArray[np.int64]


def contrast(model: Any, part: Part, *, recipe: FinetuneRecipe, progress: Progress) -> None:
    """Train the encoder of a classifier, in place; nothing where the recipe has no ``few_shot``.

    Args:
        model: a Transformers classifier; its head stays as it is.
        part: the training split; targets are class numbers.
        recipe: how long and how fast, and what of training holds here too (dropout, threads, …).
        progress: where to show it.
    """
    few = recipe.few_shot
    if few is None:
        return
    targets = np.asarray(part.targets)
    pairs = pairs_of(targets, passes=few.passes, seed=recipe.seed).ravel()
    told: dict[str, Any] = {
        "epochs": 1.0,
        "batch_size": few.batch_size,
        "learning_rate": few.learning_rate,
        "frozen_layers": 0,
        "validate_every": None,
        "patience": None,
        "keep": "last",
    }
    progress.say(f"Learning from {len(pairs) // 2:,} pairs which texts have the same label …")
    train(
        packed_model(model.base_model, Embedding(pooling="first", size=int(model.config.hidden_size))),
        TrainingSet(
            [part.sequences[row] for row in pairs.tolist()],
            np.column_stack([np.full(len(pairs), np.nan), targets[pairs]]),
            (np.arange(len(pairs)) % 2 == 0).astype(np.int64),
            together=2,
        ),
        feature_extraction.loss,
        recipe=recipe.training.model_copy(update=told),
        seed=recipe.seed,
        progress=progress,
    )


def pairs_of(targets: Ints, *, passes: int, seed: int) -> Ints:
    """For each pass and each text another of its label, int64 (passes · texts, 2); itself where it has no other.

    Args:
        targets: int64 (texts,), class numbers.
        passes: how often each text comes first.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    alike = {label: np.flatnonzero(targets == label) for label in np.unique(targets).tolist()}
    pairs = []
    for _ in range(passes):
        for text, label in enumerate(targets.tolist()):
            others = alike[label][alike[label] != text]
            pairs.append((text, int(rng.choice(others)) if len(others) else text))
    return np.array(pairs, np.int64)
