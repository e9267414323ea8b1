"""``penjing distill``: a smaller version that opens in Transformers, compared with its teacher; and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.calling import penjing, settings
from app.world import BRIEF, QUICK, labelled_rows, make_checkpoint, write_rows
from penjing.store import Store

SMALL = settings(*QUICK[:-1], *BRIEF)  # all of QUICK but text.max_tokens, which comes from the teacher


def distilling(store, *more, teachers=("topics/1",), name="small"):
    return penjing("distill", *teachers, "--name", name, "--store", store, "--json", *SMALL, *more)


def test_a_student_of_one_layer_is_a_version_like_any_other(store, tmp_path):
    ran = distilling(store, "--layers", 1, "--alpha", 0.3, "--max-drop", 0.1)
    assert ran.status == 0, ran.err
    bundle = Store(store).bundle("small", 1)
    manifest = bundle.manifest
    assert manifest.metrics["accuracy"].value > 0.9
    assert manifest.metrics["agreement"].n == 80
    assert {"accuracy_difference", "export_difference"} <= set(manifest.metrics)
    assert "speedup" in manifest.speed
    assert [(one.kind, one.name) for one in manifest.parents] == [("version", "topics/1")]
    assert manifest.recipe["origin"]["task"] == "text-classification"
    assert json.loads((bundle.path / "checkpoint" / "config.json").read_text())["num_hidden_layers"] == 1
    assert not list(store.glob(".runs/*"))
    follow = penjing("quantize", "small/1", "--store", store, "--json", *settings(*BRIEF, "quantize.max_drop=0.3"))
    assert follow.status == 0, follow.err
    assert same_as_transformers(bundle)


def same_as_transformers(bundle):
    import torch
    import transformers

    from penjing import predict
    from penjing.models.quiet import quiet_transformers

    text = "the engine with a new clutch"
    with quiet_transformers():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(bundle.path / "checkpoint").eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(bundle.path / "checkpoint")
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
    (answer,) = predict(bundle.reference, [text], store=bundle.path.parent.parent)
    shares = torch.softmax(logits, dim=0).numpy()
    return np.allclose(shares, answer.probabilities, atol=1e-4)


def test_what_the_teacher_said_is_kept_for_the_next_student(store):
    assert distilling(store, "--layers", 1, *settings("measure=null")).status == 0
    kept = {file: file.stat().st_mtime_ns for file in (store / ".teacher-outputs").iterdir()}
    assert kept
    assert distilling(store, "--layers", 2, "--alpha", 0, *settings("measure=null"), name="other").status == 0
    assert {file: file.stat().st_mtime_ns for file in (store / ".teacher-outputs").iterdir()} == kept


def test_texts_without_labels_teach_and_those_of_the_test_split_do_not(store, world, tmp_path):
    rows = labelled_rows(80, seed=5)
    judged = labelled_rows(360, seed=1)[280:]  # the world's own test rows
    more = write_rows(tmp_path / "more.csv", [(text, "") for text, _ in [*rows, *judged, (" ", "")]])
    told = settings("measure=null", 'distill.terms={"kl": 1.0, "minilm": 0.1}', "distill.alpha=[0.9, 0.1]")
    ran = distilling(store, "--layers", 1, "--unlabelled", more, *told)
    assert ran.status == 0, ran.err
    assert "80 texts without labels (81 left out" in ran.err
    assert Store(store).bundle("small", 1).manifest.metrics["accuracy"].value > 0.9


def test_an_ensemble_of_a_version_and_a_checkpoint_teaches_another_architecture(store, world, tmp_path):
    ready = Store(store).bundle("topics", 1).path / "checkpoint"
    make_checkpoint(tmp_path / "fresh", [text for text, _ in labelled_rows(100, seed=9)])
    ran = distilling(
        store, "--student", tmp_path / "fresh", "--data", world.train, *settings("measure=null", "max_tokens=24"),
        teachers=("topics/1", str(ready)),
    )  # fmt: skip
    assert ran.status == 0, ran.err
    manifest = Store(store).bundle("small", 1).manifest
    assert [one.kind for one in manifest.parents] == ["version", "checkpoint", "checkpoint"]


@pytest.mark.parametrize(
    ("more", "teachers", "said"),
    [
        (["--layers", 3], ("topics/1",), "3 layers of a model of 2"),
        (settings("layers=[1, 1]"), ("topics/1",), "layers [1, 1] of a model of 2"),
        (["--layers", 1], ("topics/2",), "holds no checkpoint"),
        (["--layers", 1], ("nothing/1",), "nothing"),
        (settings('distill.terms={"kl": 0}'), ("topics/1",), "distill.terms.kl"),
        (settings("distill.terms={}"), ("topics/1",), "distill.terms"),
        (settings("distill.layer_map=[1]", 'distill.terms={"hidden": 1}'), ("topics/1",), "layer_map"),
        (settings('distill.terms={"hidden": 1}'), ("topics/1", "topics/1"), "several teachers"),
        (["--max-drop", 0, "--layers", 1, "--epochs", 0.1], ("topics/1",), "accuracy"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_registered(store, more, teachers, said):
    ran = distilling(store, *settings("measure=null"), *more, teachers=teachers)
    assert ran.status in (1, 2)
    assert said in ran.err
    assert not [entry for entry in Store(store).models() if entry == "small"]


def test_a_teacher_of_other_labels_is_refused_by_the_label(store, tmp_path):
    rows = [(text, "x" if label == "cars" else label) for text, label in labelled_rows(80, seed=3)]
    ran = distilling(store, "--data", write_rows(tmp_path / "other.csv", rows), "--layers", 1)
    assert ran.status == 1
    assert "does not know the label 'x'" in ran.err


def test_a_static_student_has_no_layers_and_is_a_version_like_any_other(store):
    ran = distilling(store, "--student", "static", *settings("static_width=16", "training.learning_rate=2e-2"))
    assert ran.status == 0, ran.err
    bundle = Store(store).bundle("small", 1)
    assert bundle.manifest.metrics["accuracy"].value > 0.9
    assert [one.name for one in bundle.manifest.parents] == ["topics/1"]
    assert json.loads((bundle.path / "checkpoint" / "config.json").read_text())["num_hidden_layers"] == 0
    assert same_as_transformers(bundle)
    told = settings(*BRIEF, "quantize.max_drop=0.3", "quantize.engine=onnxruntime")
    follow = penjing("quantize", "small/1", "--store", store, "--json", *told)
    assert follow.status == 0, follow.err
    cut = penjing("prune", "small/1", "--name", "cut", "--vocabulary", "--store", store, "--set", "measure=null")
    assert cut.status == 0, cut.err


def test_a_static_student_with_layers_is_refused(store):
    assert "has no layers" in distilling(store, "--student", "static", "--layers", 1).err
    ran = distilling(store, "--student", "static", *settings("distill.terms={hidden: 1.0}"))
    assert "has no layers" in ran.err
