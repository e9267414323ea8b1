"""A store of tiny models that write."""

from __future__ import annotations

from pathlib import Path

import penjing
from app.decoder_world import make_decoder


def make_writers(folder: Path, *families: str) -> Path:
    """A store with a model of each family, by its name."""
    for family in families:
        make_decoder(folder / family, family=family, seed=3)
        penjing.export(str(folder / family), name=family, store=folder / "store")
    return folder / "store"
