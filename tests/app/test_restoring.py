"""``penjing quantize --restore``: what int8 spoils goes back to fp32, as far as held-out data ask for it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import penjing.app.restoring as module
from app.calling import penjing, settings
from app.world import BRIEF, labelled_rows, write_rows
from penjing.app import ladder
from penjing.compress import quantize
from penjing.compress.restore import fewest
from penjing.store import Store

WEIGHTS = "checkpoint/model.safetensors"
LAYER = "bert.encoder.layer.0.attention"


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("held-out") / "held-out.csv", labelled_rows(440, seed=9)[-160:])


@pytest.fixture(scope="module")
def spoilt(made, tmp_path_factory):
    """A store with came/1: topics/1, but for one channel of values that int8 has no range for beside the others."""
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(made.store / "topics/1/checkpoint", folder / "came")
    file, by = folder / "came" / "model.safetensors", np.float32(1e5)
    weights = {name: array.copy() for name, array in load_file(file).items()}
    for at in range(2):
        layer = LAYER.replace("layer.0", f"layer.{at}")
        weights[f"{layer}.self.value.weight"][3] *= by
        weights[f"{layer}.self.value.bias"][3] *= by
        weights[f"{layer}.output.dense.weight"][:, 3] /= by
    save_file(weights, file, {"format": "pt"})
    ran = penjing("export", folder / "came", "--name", "came", "--store", folder / "store")
    assert ran.status == 0, ran.err
    return folder / "store"


def restoring(store, world, held_out, *more):
    data = settings(f"data.test={world.test}", f"data.validation={held_out}", *BRIEF)
    engine = ["--engine", "onnxruntime", "--json"]
    return penjing("quantize", "came/1", "--data", world.train, "--store", store, *engine, *data, *more)


def test_layers_go_back_until_the_promise_holds(spoilt, world, held_out):
    ran = restoring(spoilt, world, held_out, "--restore", "--max-drop", 0.05)
    assert ran.status == 0, ran.err
    assert "ranking the layers" in ran.err
    bundle = Store(spoilt).bundle("came", ran.json["version"])
    kept = bundle.manifest.engine.fp32_layers
    assert kept[0].endswith("attention.output.dense")
    assert 1 <= len(kept) < 17
    notes = "\n".join(bundle.manifest.notes)
    assert f"{len(kept)} of 17 layers in fp32" in notes
    assert "held-out examples int8 changes accuracy by -" in notes
    assert f"{kept[0]} (" in notes
    assert "speedup" in bundle.manifest.speed
    plain = restoring(spoilt, world, held_out, "--max-drop", 1)
    assert plain.status == 0, plain.err
    lost = plain.json["metrics"]["accuracy_difference"]["value"]
    assert bundle.manifest.metrics["accuracy_difference"].value > lost + 0.1
    assert Store(spoilt).bundle("came", plain.json["version"]).manifest.engine.fp32_layers == ()


def test_what_holds_as_it_is_keeps_all_layers_in_int8(store, held_out):
    told = settings("quantize.restore.max_drop=0.2", "quantize.max_drop=null", f"quantize.restore.held_out={held_out}")
    ran = penjing("quantize", "topics/1", "--store", store, "--engine", "onnxruntime", *settings(*BRIEF), *told)
    assert ran.status == 0, ran.err
    assert "no layer had to go back to fp32" in ran.out
    assert Store(store).bundle("topics", 3).manifest.engine.fp32_layers == ()


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (["--restore"], 2, "topics/1 was made without a validation split"),
        (["--held-out", "HELD", *settings("quantize.max_drop=null")], 2, "restore needs to know what may be lost"),
        (["--held-out", "FEW"], 1, "5 held-out examples to restore layers by; expected at least 30"),
        (["--held-out", "OTHER"], 1, "weather"),
        (
            ["--held-out", "HELD", *settings("quantize.restore.against=absent/3")],
            1,
            "model 'absent' is not in the store",
        ),
    ],
)
def test_what_cannot_be_restored_is_refused_and_nothing_is_registered(store, held_out, tmp_path, more, status, told):
    files = {
        "HELD": held_out,
        "FEW": write_rows(tmp_path / "few.csv", labelled_rows(440, seed=9)[-5:]),
        "OTHER": write_rows(tmp_path / "other.csv", [(f"rain and wind {at}", "weather") for at in range(40)]),
    }
    words = [files.get(one, one) for one in more]
    ran = penjing("quantize", "topics/1", "--store", store, "--engine", "onnxruntime", *settings(*BRIEF), *words)
    assert told in ran.err
    assert ran.status == status
    assert Store(store).versions("topics") == [1, 2]
    assert not list(store.rglob(".*"))


def test_an_impossible_drop_is_refused_with_the_best_that_was_found(spoilt, world, held_out, monkeypatch):
    monkeypatch.setattr(module.Judge, "holds", lambda *_: False)  # on so small a world the last layer is exact
    monkeypatch.setattr(module, "fewest", lambda _, holds: fewest(1, holds))
    before = Store(spoilt).versions("came")
    ran = restoring(spoilt, world, held_out, "--restore", "--max-drop", 0)
    assert ran.status == 1
    assert "the best int8 form changes accuracy on held-out data by" in ran.err
    assert "with 1 layers in fp32" in ran.err
    assert Store(spoilt).versions("came") == before
    assert [one.subject for one in Store(spoilt).ledger.entries(kind="refused")] == ["came/1"]


def test_a_ladder_restores_what_int8_broke(spoilt, store, held_out, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    home = Store(store)
    whole = home.bundle("topics", 1)
    with home.stage("topics") as staging:
        for name in whole.manifest.files:
            (staging.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(whole.path / name, staging.path / name)
        shutil.copyfile(Store(spoilt).bundle("came", 1).file(WEIGHTS), staging.path / WEIGHTS)
        staging.publish(whole.manifest.draft())
    told = settings("layers=[]", "static=null", f"cascade.held_out={held_out}", *BRIEF)
    monkeypatch.setattr(quantize, "preferred_engine", lambda _: ("onnxruntime", "quicker"))
    monkeypatch.setattr(ladder, "_cascade", stopped)
    ran = penjing("compress", "topics/3", "--store", store, "--max-drop", 0.2, "--min-speedup", 1e-6, *told)
    assert "2 of 3: fewer tokens, int8" in ran.err
    assert "of 17 layers in fp32: accuracy" in ran.err
    assert "no layer goes back" not in ran.err


def test_a_version_that_lost_too_much_by_itself_is_not_restored(spoilt, held_out, store):
    told = settings("quantize.restore.against=topics/1", f"quantize.restore.held_out={held_out}")
    shutil.copytree(spoilt / "came", store / "came")
    file = store / "came/1/bundle.json"
    facts = json.loads(file.read_text())
    facts["recipe"] = json.loads((store / "topics/1/bundle.json").read_text())["recipe"]
    file.write_text(json.dumps(facts))
    ran = penjing("quantize", "came/1", "--store", store, *told, *settings(*BRIEF))
    assert ran.status == 1, "160 texts are too few to prove 2 points, whatever it answers"
    assert "came/1 itself changes accuracy of topics/1 by " in ran.err
