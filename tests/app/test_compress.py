"""``penjing compress``: a contract that can be kept, one that cannot, and a run that goes on."""

from __future__ import annotations

import pytest

import penjing.app.ladder as module
from app.calling import penjing, settings
from app.world import BRIEF, QUICK, labelled_rows, write_rows
from penjing.store import Store

TRAINING = settings(
    *(one for one in QUICK if one.startswith("training.")),
    *BRIEF,
    *(f"static.{one}" for one in QUICK if one.startswith("training.")),
    "static.training.learning_rate=2e-2",
    "layers=[1]",
)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("held-out") / "held-out.csv", labelled_rows(420, seed=9))


def compressing(store, *more):
    return penjing("compress", "topics/1", "--name", "less", "--store", store, "--json", *TRAINING, *more)


def test_a_contract_that_can_be_kept_is_kept_after_a_stop_too(store, held_out, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    cascading = settings(f"cascade.held_out={held_out}", "measure.rounds=6")
    with monkeypatch.context() as patch:
        patch.setattr(module, "quantize", stopped)
        assert compressing(store, "--max-drop", 0.3, "--min-speedup", 0.1, *cascading).status not in (0, 1)
    assert list((store / ".runs").glob("compress-*/rung-layers-1/1"))
    assert "less" not in Store(store).models()
    ran = compressing(store, "--max-drop", 0.3, "--min-speedup", 0.1, *cascading)
    assert ran.status == 0, ran.err
    assert "1 of 7: fewer tokens" not in ran.err  # it was there
    assert "5 of 7: student of 1, int8" in ran.err
    bundle = Store(store).bundle("less", 1)
    bundle.verify()
    manifest = bundle.manifest
    assert manifest.metrics["accuracy_difference"].low >= -0.3
    assert manifest.speed["speedup"].low >= 0.1
    notes = "\n".join(manifest.notes)
    for told in ("fewer tokens", "student of 1", "static student, int8", "cascade"):
        assert f"\n{told}:" in f"\n{notes}"
    steps = bundle.file("evidence/steps.yaml").read_text()
    assert steps.startswith("# penjing prune makes rung-tokens/1\n")
    page = bundle.file("report.html").read_text()
    assert "calibration error of topics/1" in page
    assert "The steps that it came down to" in page
    assert not list((store / ".runs").glob("compress-*"))


def test_an_impossible_contract_is_refused_with_what_was_found(store):
    ran = compressing(store, "--max-drop", 0.3, "--min-speedup", 1000, "--max-mb", 0.000001, *settings("static=null"))
    assert ran.status == 1
    assert "MB" in ran.err
    assert "student of 1, int8" in ran.err
    assert "static student" not in ran.err
    assert "less" not in Store(store).models()
