"""A toy training as one of several processes; run as ``python -m train.rank_worker PATH``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from models.tiny import random_sequences, tiny_decoder, tiny_model
from penjing.models.decoder import PackedDecoder, PackedModel
from penjing.models.packed import PackedEncoder
from penjing.tasks import text_classification
from penjing.train.language import next_token_set, token_loss
from penjing.train.ranks import joined
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet
from train.toy import Watcher, run, toy_set, weights_of

TOLD = {"validate_every": 0.5, "keep": "best", "save_every_s": 0, "pass_tokens": 128, "threads": 1}


def model_and_data(family: str) -> tuple[PackedModel, tuple[TrainingSet, TrainingSet]]:
    """A tiny model, and what it trains on and is looked at with."""
    if family != "llama":
        return PackedEncoder(tiny_model(family, dtype=torch.float64)), (toy_set(53), toy_set(20, seed=5))
    parts = [random_sequences([5, 9, 14, 3, 8] * rows, seed=rows) for rows in (8, 3)]
    train, other = (next_token_set(part, lengths=np.array([len(one) for one in part])) for part in parts)
    return PackedDecoder(tiny_decoder(family)), (train, other)


def train_here(path: Path, **settings: object) -> dict[str, np.ndarray]:
    """Train, write weights and losses to files beside ``path``, and give the weights.

    Args:
        path: whose name the files begin with.
        settings: of the recipe; ``stop`` is a step after which to die, ``family`` another model.
    """
    stop, family = settings.pop("stop", None), settings.pop("family", "bert")
    torch.set_num_threads(1)
    with joined() as ranks:
        encoder, data = model_and_data(str(family))
        kept = f"{path}.states" if settings else f"{path}-{ranks.rank}.states"
        states = StateDirectory(Path(kept), run_id="run")
        done = run(
            encoder,
            data[0],
            validation=data[1],
            objective=token_loss if family == "llama" else text_classification.loss,
            states=states,
            ranks=ranks,
            watcher=Watcher(lambda step: os._exit(0) if step == stop else None),
            **TOLD | settings,
        )
    found = weights_of(encoder)
    np.savez(f"{path}-{ranks.rank}.npz", **found)
    losses = [record[key] for record in done.history for key in ("loss", "validation_loss") if key in record]
    Path(f"{path}-{ranks.rank}.json").write_text(json.dumps(losses))
    return found


if __name__ == "__main__":
    train_here(Path(sys.argv[1]), **json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
