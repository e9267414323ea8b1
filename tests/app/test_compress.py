"""``penjing compress``: a contract that can be kept, one that cannot, and a run that goes on."""

from __future__ import annotations

import pytest

import penjing.app.compress as module
from app.calling import penjing, settings
from app.world import BRIEF, QUICK
from penjing.store import Store

TRAINING = settings(*(one for one in QUICK if one.startswith("training.")), *BRIEF, "layers=[1]")


def compressing(store, *more):
    return penjing("compress", "topics/1", "--name", "less", "--store", store, "--json", *TRAINING, *more)


def test_a_contract_that_can_be_kept_is_kept_after_a_stop_too(store, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "quantize", stopped)
        with pytest.raises(KeyboardInterrupt):
            module.compress(
                module.CompressCommand.model_validate(
                    {"model": "topics/1", "name": "less", "max_drop": 0.3, "min_speedup": 1.0, "layers": (1,)}
                ),
                store=store,
            )
    assert list((store / ".runs").glob("compress-*/cut/1"))
    ran = compressing(store, "--max-drop", 0.3, "--min-speedup", 1)
    found = Store(store).models()
    assert (ran.status == 0) == ("less" in found), ran.err
    if ran.status == 0:
        manifest = Store(store).bundle("less", 1).manifest
        assert manifest.metrics["accuracy_difference"].low >= -0.3
        assert manifest.speed["speedup"].value >= 1
        assert len(manifest.notes) >= 4
        Store(store).bundle("less", 1).verify()
    else:
        assert "times as fast" in ran.err


def test_an_impossible_contract_is_refused_with_what_was_found(store):
    ran = compressing(store, "--max-drop", 0.3, "--min-speedup", 1000)
    assert ran.status == 1
    assert "student of 1, int8" in ran.err
    assert "less" not in Store(store).models()
    ran = compressing(store, "--max-drop", 0.3, "--min-speedup", 1, "--max-mb", 0.000001)
    assert ran.status == 1
    assert "not measured" in ran.err
