"""A toy training as one of several processes; run as ``python -m train.rank_worker PATH``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from penjing.train.ranks import joined
from penjing.train.state import StateDirectory
from train.toy import run, toy_encoder, toy_set, weights_of


def train_here(path: Path) -> dict[str, np.ndarray]:
    """Train, write weights and losses to files beside ``path``, and give the weights."""
    torch.set_num_threads(1)
    with joined() as ranks:
        encoder = toy_encoder(torch.float64)
        states = StateDirectory(Path(f"{path}-{ranks.rank}.states"), run_id="run")
        done = run(
            encoder,
            toy_set(53),
            validation=toy_set(20, seed=5),
            states=states,
            ranks=ranks,
            validate_every=0.5,
            keep="best",
            save_every_s=0,
            pass_tokens=128,
            threads=1,
        )
    found = weights_of(encoder)
    np.savez(f"{path}-{ranks.rank}.npz", **found)
    losses = [record[key] for record in done.history for key in ("loss", "validation_loss") if key in record]
    Path(f"{path}-{ranks.rank}.json").write_text(json.dumps(losses))
    return found


if __name__ == "__main__":
    train_here(Path(sys.argv[1]))
