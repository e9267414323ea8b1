"""``penjing quantize --recover``: training with int8's rounding, taught by the version itself."""

from __future__ import annotations

import pytest

from app.calling import penjing, settings
from app.world import BRIEF
from penjing.store import Store

TRAINING = settings(
    *BRIEF, "recover.training.threads=1", "recover.training.epochs=2", "recover.training.learning_rate=1e-3"
)


def recovering(store, *more, engine="onnxruntime"):
    return penjing("quantize", "topics/1", "--recover", "--store", store, "--engine", engine, *TRAINING, *more)


def test_int8_is_made_of_what_was_trained(store):
    ran = recovering(store, "--max-drop", 0.2)
    assert ran.status == 0, ran.err
    assert "Training with the rounding of int8 in onnxruntime" in ran.err
    home = Store(store)
    bundle, plain = home.bundle("topics", 3), home.bundle("topics", 2)
    bundle.verify()
    assert "trained with int8's rounding for 18 steps, taught by topics/1" in "\n".join(bundle.manifest.notes)
    assert bundle.manifest.engine.precision == "int8"
    assert bundle.manifest.metrics["agreement"].value >= 0.95
    assert bundle.manifest.files["engine/model.onnx"].sha256 != plain.manifest.files["engine/model.onnx"].sha256
    assert bundle.manifest.recipe["recover"]["training"]["epochs"] == 2
    assert not list((store / ".runs").glob("*"))


@pytest.mark.parametrize(
    ("more", "engine", "told"),
    [
        ([], "measure", "recover learns one engine's rounding"),
        (settings("recover.training.frozen_layers=1"), "onnxruntime", "recover trains the whole model"),
        (settings("recover.distill.terms={hidden: 1}"), "onnxruntime", "recover learns from outputs"),
    ],
)
def test_what_cannot_be_learnt_is_refused(store, more, engine, told):
    ran = recovering(store, *more, engine=engine)
    assert ran.status == 2
    assert told in ran.err
    assert Store(store).versions("topics") == [1, 2]
