"""From weights and labelled text to versions with their evidence, by the commands and from Python."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml

import penjing as package
from app.calling import finetuning, penjing, settings
from app.world import BRIEF, LABELS
from penjing.core.errors import GateRefusal
from penjing.core.recipe import recipe_digest, resolve_recipe
from penjing.store import Store


def test_finetune_puts_a_whole_version_in_the_store(made):
    facts = made.finetune.json
    bundle = Store(made.store).bundle("topics", 1)
    bundle.verify()
    assert (facts["model"], facts["version"]) == ("topics", 1)
    assert facts["metrics"]["accuracy"]["value"] == bundle.manifest.metrics["accuracy"].value > 0.8
    assert facts["metrics"]["export_difference"]["value"] < 1e-4
    assert facts["engine"] == {"name": "onnxruntime", "precision": "fp32", "file": "engine/model.onnx"} | {
        "takes_type_ids": True,
        "reads": "first",
        "fp32_layers": [],
    }
    assert set(facts["speed"]) == {"p50_ms", "p95_ms", "p99_ms", "requests_per_s", "tokens_per_s"}
    assert bundle.manifest.labels == LABELS
    names = {"report.html", "recipe.yaml", "evidence/test.npz", "checkpoint/model.safetensors", "engine/model.onnx"}
    assert names <= set(bundle.manifest.files)
    assert not list(made.store.rglob(".*")), "nothing is left of the run"


def test_quantize_says_what_it_costs_and_gains(made):
    facts = made.quantize.json
    bundle = Store(made.store).bundle("topics", 2)
    bundle.verify()
    assert facts["engine"]["precision"] == "int8"
    assert facts["metrics"]["agreement"]["n"] == 80
    assert {"speedup", "p50_ms"} <= set(facts["speed"])
    assert facts["bytes"] < made.finetune.json["bytes"]
    (parent,) = bundle.manifest.parents
    assert (parent.name, parent.digest) == ("topics/1", Store(made.store).bundle("topics", 1).digest)
    kinds = [entry.kind for entry in Store(made.store).ledger.entries()]
    assert kinds == ["version-published", "version-published"]


def test_the_recipe_in_a_version_repeats_it(made, tmp_path):
    first = Store(made.store).bundle("topics", 1)
    ran = penjing("finetune", "--recipe", first.file("recipe.yaml"), "--store", tmp_path / "again")
    assert ran.status == 0, ran.err
    again = Store(tmp_path / "again").bundle("topics", 1)
    assert again.manifest.recipe_digest == first.manifest.recipe_digest
    assert again.manifest.metrics == first.manifest.metrics
    for name in ("checkpoint/model.safetensors", "engine/model.onnx", "evidence/test.npz", "recipe.yaml"):
        assert again.manifest.files[name].sha256 == first.manifest.files[name].sha256, name
    assert "topics/1" in ran.out
    assert "accuracy" in ran.out
    assert "training and 80 test texts, 4 labels" in ran.err


def test_a_recipe_file_flags_and_sets_lie_on_top_of_each_other(made):
    file = Store(made.store).bundle("topics", 1).file("recipe.yaml")
    told = resolve_recipe(
        package.FinetuneRecipe, file, ["training.epochs=9", "seed=7"], flags={"seed": 5, "name": "other"}
    )
    assert (told.training.epochs, told.seed, told.name, told.training.batch_size) == (9, 7, "other", 32)
    assert recipe_digest(told) != Store(made.store).bundle("topics", 1).manifest.recipe_digest
    assert yaml.safe_load(file.read_text())["training"]["epochs"] == 12


def test_a_gate_that_refuses_registers_nothing(store):
    ran = penjing("quantize", "topics/1", "--store", store, "--json", *settings(*BRIEF), "--max-drop", "0")
    assert ran.status == 1
    assert ran.json["error"]["code"] == "gate"
    assert "the gate refused: difference in accuracy" in ran.err
    home = Store(store)
    assert home.versions("topics") == [1, 2]
    assert not list(store.rglob(".*"))
    (refusal,) = home.ledger.entries(kind="refused")
    assert refusal.subject == "topics/1"
    assert "difference in accuracy" in refusal.facts["reasons"][0]


def test_the_gate_refuses_from_python_too(store):
    command = package.QuantizeCommand.model_validate({"model": "topics/1", "quantize": {"max_drop": 0.0}})
    with pytest.raises(GateRefusal):
        package.quantize(command, store=store)
    assert [one.bundle.reference for one in package.list_versions(store)] == ["topics/1", "topics/2"]


def test_what_is_int8_is_not_quantised_again(store):
    for model in ("topics", "topics/2"):
        ran = penjing("quantize", model, "--store", store)
        assert ran.status == 2
        assert "topics/2 is int8 already; expected an fp32 version. Name the version it came from." in ran.err
    ran = penjing("export", "topics/2", "--store", store)
    assert ran.status == 2
    assert "topics/2 holds no checkpoint; expected a fine-tuned version" in ran.err
    assert Store(store).versions("topics") == [1, 2]


def test_too_many_tokens_are_refused_before_anything_is_read(world, tmp_path):
    ran = penjing(*finetuning(world, tmp_path / "store"), "--set", "text.max_tokens=4000", "--train", "absent.csv")
    assert ran.status == 2
    assert f"text.max_tokens is 4000; expected at most 40, the positions of {world.checkpoint}" in ran.err
    assert not (tmp_path / "store").exists()


def test_exported_to_another_engine_a_version_answers_the_same(store):
    ran = penjing("export", "topics/1", "--engine", "openvino", "--store", store, "--json")
    assert ran.status == 0, ran.err
    home = Store(store)
    bundle, parent = home.bundle("topics", 3), home.bundle("topics", 1)
    bundle.verify()
    assert (ran.json["version"], ran.json["engine"]["name"]) == (3, "openvino")
    assert bundle.manifest.metrics["accuracy"] == parent.manifest.metrics["accuracy"]
    assert bundle.manifest.parents[0].name == "topics/1"
    ask = ("we saw the rocket in orbit", "教练很好", "unheard of")
    before, after = (list(package.predict(f"topics/{version}", ask, store=store)) for version in (1, 3))
    assert [one.label for one in after] == [one.label for one in before]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_a_checkpoint_is_exported_outside_a_store(made, tmp_path):
    source, target = made.store / "topics/1/checkpoint", tmp_path / "new" / "exported"
    ran = penjing("export", source, "--to", target, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["difference"] < 1e-4
    assert sorted(path.name for path in target.iterdir()) == ["checkpoint", "engine"]
    assert [path.name for path in target.parent.iterdir()] == ["exported"]
    again = penjing("export", source, "--to", target)
    assert again.status == 2
    assert f"{target} exists; expected a new directory" in again.err


def test_a_classifier_that_came_as_it_is_is_quantised_by_its_own_labels(world, made, tmp_path):
    """Its outputs stand in another order than the labels of the data."""
    shutil.copytree(made.store / "topics/1/checkpoint", tmp_path / "came")
    config = json.loads((tmp_path / "came/config.json").read_text())
    config["id2label"] = {number: LABELS[(int(number) + 1) % len(LABELS)] for number in config["id2label"]}
    (tmp_path / "came/config.json").write_text(json.dumps(config))
    store = tmp_path / "store"
    assert penjing("export", tmp_path / "came", "--name", "came", "--store", store).status == 0
    told = settings(*BRIEF, "quantize.max_drop=null")
    ran = penjing("quantize", "came", "--data", world.test, "--store", store, *told, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["metrics"]["accuracy"]["value"] < 0.3, "every right class has the name of another"
    (tmp_path / "odd.csv").write_text(world.test.read_text().replace(LABELS[0], "unheard"))
    odd = penjing("quantize", "came/1", "--data", tmp_path / "odd.csv", "--store", store, *told)
    assert odd.status == 1
    assert "the model does not know the label 'unheard'; expected one of" in odd.err


def test_what_cannot_be_exported_is_told(world, made, tmp_path):
    shutil.copytree(world.checkpoint, tmp_path / "masked")
    config = json.loads((tmp_path / "masked/config.json").read_text()) | {"architectures": ["BertForPreTraining"]}
    (tmp_path / "masked/config.json").write_text(json.dumps(config))
    headless = penjing("export", tmp_path / "masked", "--to", tmp_path / "new")
    assert headless.status == 1
    assert "has no head of a task; expected a fine-tuned" in headless.err
    (tmp_path / "file").touch()
    nowhere = penjing("export", made.store / "topics/1/checkpoint", "--to", tmp_path / "file" / "new")
    assert nowhere.status == 2
    assert "is no directory and cannot be made one" in nowhere.err
    engine = penjing("export", "topics/1", "--engine", "tensorrt", "--store", made.store)
    assert engine.status == 2
    assert "tensorrt" in engine.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "masked"]


def test_progress_never_mixes_with_results(made):
    assert json.loads(made.finetune.out) == made.finetune.json
    assert "Exporting" in made.finetune.err


def test_a_conversion_that_breaks_is_told(store, monkeypatch):
    def broken(onnx, target):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr("penjing.app.publishing.write_openvino", broken)
    monkeypatch.setattr("penjing.app.publishing.export_onnx", lambda _, onnx, __: onnx.parent.mkdir())
    ran = penjing("export", "topics/1", "--engine", "openvino", "--store", store)
    assert ran.status == 1
    assert "OpenVINO could not write" in ran.err
    assert "iostream error; expected a graph it can convert, and a disk with room left. Free space" in ran.err
    assert Store(store).versions("topics") == [1, 2]
    assert not list(store.rglob(".*"))


def test_a_profile_says_where_the_time_went(world, tmp_path):
    told = settings("measure=null", "training.epochs=1")
    ran = penjing(*finetuning(world, tmp_path / "store", "--profile", "--json", *told))
    assert ran.status == 0, ran.err
    profile = ran.json["profile"]
    assert {"read and tokenise", "forward", "backward", "optimiser", "export and judge"} <= set(profile["parts"])
    assert profile["tokens_per_s"] > 0
    assert 0 < profile["mfu"] < 1
