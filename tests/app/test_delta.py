"""Adapters trained, held in a version as a delta, and used by every later step; and deltas by the command."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

import penjing as package
from app.calling import finetuning, penjing, settings
from app.decoder_world import make_decoder
from app.world import BRIEF, LABELS, make_checkpoint
from penjing.core.errors import CheckpointError, UsageError
from penjing.models.deltas.facts import is_delta
from penjing.models.deltas.tensors import digest_of, read_weights
from penjing.store import Store

LORA = ("training.delta.rank=4", "training.learning_rate=2e-2")


def weights(path):
    return digest_of(read_weights(path))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def two(world, tmp_path_factory):
    """A store with topics/1, adapters, and topics/2, a run with a frozen layer held as a delta."""
    store = tmp_path_factory.mktemp("deltas") / "store"
    first = penjing(*finetuning(world, store, "--json", *settings(*LORA, "measure=null")))
    assert first.status == 0, first.err
    second = penjing(
        *finetuning(world, store, "--json", *settings("checkpoint=delta", "training.frozen_layers=1", "measure=null"))
    )
    assert second.status == 0, second.err
    return store


def test_adapters_learn_and_are_held_as_a_delta(two, world):
    bundle = Store(two).bundle("topics", 1)
    bundle.verify()
    assert bundle.manifest.metrics["accuracy"].value > 0.5  # chance is a quarter; the embeddings are random and stay
    names = {name for name in bundle.manifest.files if name.startswith("checkpoint/")}
    assert {"checkpoint/adapter_model.safetensors", "checkpoint/delta.json", "checkpoint/tokenizer.json"} <= names
    assert "checkpoint/model.safetensors" not in names
    assert any("the version holds the delta (adapter)" in note for note in bundle.manifest.notes)
    facts = package.delta.show("topics/1", store=two)
    assert facts["base"] == str(world.checkpoint)
    assert facts["labels"] == list(LABELS)


def test_a_run_with_frozen_layers_can_be_held_as_a_delta(two):
    bundle = Store(two).bundle("topics", 2)
    assert is_delta(bundle.path / "checkpoint")
    assert package.delta.show("topics/2", store=two)["form"] == "exact"


def test_every_later_step_takes_such_a_version(two, tmp_path):
    store = shutil.copytree(two, tmp_path / "store")
    ran = penjing("export", "topics/1", "--engine", "openvino", "--store", store, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["metrics"]["accuracy"]["value"] == pytest.approx(
        Store(store).bundle("topics", 1).manifest.metrics["accuracy"].value, abs=0.02
    )
    again = Store(store).bundle("topics", ran.json["version"])
    assert is_delta(again.path / "checkpoint")
    told = settings(*BRIEF, "quantize.max_drop=0.3", "quantize.engine=onnxruntime")
    ran = penjing("quantize", again.reference, "--store", store, "--json", *told)
    assert ran.status == 0, ran.err
    assert penjing("evaluate", "topics/1", "--store", store).status == 0


def test_fine_tuning_goes_on_from_such_a_version(two, world, tmp_path):
    source = two / "topics" / "2" / "checkpoint"
    arguments = finetuning(
        world, tmp_path / "store", *settings("checkpoint=delta", "measure=null", "training.epochs=1")
    )
    arguments[arguments.index(world.checkpoint)] = source
    ran = penjing(*arguments)
    assert ran.status == 0, ran.err
    made = package.delta.apply("topics/1", to=tmp_path / "whole", store=tmp_path / "store")
    assert made.exact


def test_a_base_that_moved_is_given_by_hand(two, world, tmp_path, monkeypatch):
    """As on another machine: the recipe's model is not where it was."""
    moved = shutil.copytree(world.checkpoint, tmp_path / "moved")
    held = shutil.copytree(two / "topics" / "2" / "checkpoint", tmp_path / "held")
    facts = (held / "delta.json").read_text().replace(str(world.checkpoint), str(tmp_path / "nowhere"))
    (held / "delta.json").write_text(facts)
    with pytest.raises(CheckpointError, match="which cannot be opened"):
        package.delta.apply(str(held), to=tmp_path / "first")
    assert package.delta.apply(str(held), base=str(moved), to=tmp_path / "second").exact
    make_checkpoint(tmp_path / "other", ["another world", "足球"])
    with pytest.raises(CheckpointError, match="is not the base of"):
        package.delta.apply(str(held), base=str(tmp_path / "other"), to=tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_taken_put_on_and_taken_off_again(made, world, tmp_path):
    told = ("--store", made.store)
    delta, whole, bare = tmp_path / "delta", tmp_path / "whole", tmp_path / "bare"
    ran = penjing("delta", "extract", "topics/1", "--base", world.checkpoint, "--to", delta, *told, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["bytes"] < ran.json["whole_bytes"]
    ran = penjing("delta", "apply", delta, "--to", whole, *told)
    assert "bit for bit the weights" in ran.out
    assert weights(whole) == weights(made.store / "topics" / "1" / "checkpoint")
    ran = penjing("delta", "remove", delta, "--from", whole, "--to", bare, *told)
    assert ran.status == 0, ran.err
    assert weights(bare) == weights(world.checkpoint)
    ran = penjing("delta", "remove", delta, "--from", world.checkpoint, "--to", tmp_path / "no", *told)
    assert ran.status == 2
    assert "is not the one that" in ran.err


def test_a_low_bit_form_is_smaller_and_says_its_error(made, world, tmp_path):
    sizes = []
    for form in ("exact", "int8", "int4", "sign"):
        told = ("--base", world.checkpoint, "--to", tmp_path / form, "--store", made.store, "--json")
        ran = penjing("delta", "extract", "topics/1", "--form", form, *told)
        sizes.append((tmp_path / form / "delta.safetensors").stat().st_size)
        assert (ran.json["error"] is None) == (form == "exact")
    assert sizes == sorted(sizes, reverse=True)
    assert not package.delta.apply(str(tmp_path / "int8"), to=tmp_path / "near", scale=0.9).exact
    ran = penjing("delta", "extract", "topics/1", "--form", "int3", "--base", "x", "--to", tmp_path / "no")
    assert "expected one of exact, int8, int4, sign" in ran.err


def test_scaled_summed_and_merged(two, tmp_path):
    def run(*words, to):
        ran = penjing("delta", *words, "--to", tmp_path / to, "--store", two, "--json")
        assert ran.status == 0, ran.err
        return str(tmp_path / to)

    half = run("scale", "topics/1", "--by", "0.5", to="half")
    both = run("add", half, half, to="both")
    run("apply", both, to="whole")
    run("apply", "topics/1", to="direct")
    found, direct = read_weights(tmp_path / "whole"), read_weights(tmp_path / "direct")
    assert all(torch.allclose(found[name], direct[name], atol=1e-5) for name in direct)
    rest = run("subtract", "topics/1", half, to="rest")
    run("merge", "topics/1", "topics/2", "--weight", "3", "--weight", "1", to="mean")
    run("merge", "topics/1", "topics/2", rest, "--rule", "ties", to="ties")
    shown = penjing("delta", "show", tmp_path / "ties")
    assert "exact" in shown.out


def test_labels_that_differ_are_not_summed_unless_told(two, tmp_path):
    held = shutil.copytree(two / "topics" / "2" / "checkpoint", tmp_path / "held")
    config = held / "config.json"
    config.write_text(config.read_text().replace('"cars"', '"boats"'))
    with pytest.raises(UsageError, match="have different labels"):
        package.delta.add(["topics/1", str(held)], to=tmp_path / "sum", store=two)
    package.delta.add(["topics/1", str(held)], to=tmp_path / "sum", store=two, first_head=True)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda d, to: package.delta.add(["topics/1"], to=to, store=d), "at least two"),
        (lambda d, to: package.delta.merge(["topics/1"] * 2, weights=[1, -1], to=to, store=d), "do not sum to 0"),
        (lambda d, to: package.delta.merge(["topics/1"] * 2, weights=[1], to=to, store=d), "2 numbers"),
        (lambda d, to: package.delta.merge(["topics/1"] * 2, keep=0, to=to, store=d), "keep is 0"),
        (lambda d, to: package.delta.scale("topics/9", by=1, to=to, store=d), "is not a directory"),
        (lambda d, to: package.delta.scale("topics/1", by=float("nan"), to=to, store=d), "no finite number"),
        (lambda d, _: package.delta.scale("topics/1", by=1, to=d, store=d), "exists"),
    ],
)
def test_what_cannot_be_meant_is_refused(two, tmp_path, call, told):
    with pytest.raises((UsageError, CheckpointError), match=told):
        call(two, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_language_model_learns_by_adapters_and_goes_on(tmp_path):
    base = make_decoder(tmp_path / "base", scale=1.0)
    rows = [{"prompt": f"q{at} ", "completion": "the in the"} for at in range(24)]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    told = settings("training.delta.rank=4", "training.epochs=1", "training.threads=1", "text.max_tokens=32")
    ran = penjing(
        "finetune", "--name", "says", "--task", "text-generation", "--model", base, "--train", tmp_path / "train.jsonl",
        "--store", tmp_path / "store", "--json", *told,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    bundle = Store(tmp_path / "store").bundle("says", 1)
    assert is_delta(bundle.path / "checkpoint")
    assert "checkpoint/generation_config.json" in bundle.manifest.files
    assert package.delta.apply("says/1", to=tmp_path / "whole", store=tmp_path / "store").exact
