"""Data that does not stay in memory trains the same model, bit for bit."""

from __future__ import annotations

import pytest

from app.calling import finetuning, penjing, settings
from penjing.data import shelf
from penjing.store import Store
from penjing.tokens import compact


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_model_is_the_same_wherever_its_data_lay(world, tmp_path, monkeypatch, frozen):
    told = settings("measure=null", "training.epochs=2", "data.validation_fraction=0.1", "training.validate_every=1",
                    f"training.frozen_layers={frozen}")  # fmt: skip
    for where in ("inside", "outside"):
        ran = penjing(*finetuning(world, tmp_path / where), *told)
        assert ran.status == 0, ran.err
        monkeypatch.setattr(shelf, "HELD_CHARACTERS", 1000)
        monkeypatch.setattr(compact, "HELD_TOKENS", 1000)
    inside, outside = (Store(tmp_path / where).bundle("topics", 1).manifest for where in ("inside", "outside"))
    weights = "checkpoint/model.safetensors"
    assert inside.files[weights] == outside.files[weights]
    assert inside.data == outside.data
    assert inside.metrics == outside.metrics
