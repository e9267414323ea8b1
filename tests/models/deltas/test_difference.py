"""A delta gives θ_t back, and refuses another base, other files and other weights."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from models.deltas.making import base_of, saved, tuned_from
from models.tiny import tiny_model
from penjing.app.holding import take_difference
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.nouns import Task
from penjing.models.checkpoint import find_checkpoint
from penjing.models.deltas.difference import base_tensors_of, tensors_of
from penjing.models.deltas.facts import read_delta
from penjing.models.deltas.tensors import digest_of, read_weights
from penjing.models.families import FAMILIES


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    base = base_of(tmp_path / "base")
    return base, tuned_from(base, tmp_path / "tuned")


@pytest.fixture
def delta(pair, tmp_path):
    base, tuned = pair
    return take_difference(tuned.path, base, tmp_path / "delta")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_apply_gives_back_what_was_extracted_bit_for_bit(tmp_path, monkeypatch, family):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    base = base_of(tmp_path / "base", family)
    tuned = saved(tiny_model(family, dtype=torch.float32, seed=5), tmp_path / "tuned")
    delta = take_difference(tuned.path, base, tmp_path / "delta")
    found = find_checkpoint(str(delta.path))
    assert digest_of(read_weights(found.path)) == digest_of(read_weights(tuned.path))
    assert found.config == tuned.config
    assert {facts.of is None for name, facts in delta.facts.tensors.items() if "classifier" in name} == {True}


def test_the_base_comes_back_from_the_tuned_weights_alone(pair, delta):
    base, tuned = pair
    found = base_tensors_of(delta, read_weights(tuned.path))
    whole = read_weights(base.path)
    assert digest_of(found) == digest_of({name: whole[name] for name in found})
    with pytest.raises(UsageError, match="is not the one that"):
        base_tensors_of(delta, whole)


def test_what_did_not_move_takes_no_room(tmp_path):
    base = base_of(tmp_path / "base")
    tuned = tuned_from(base, tmp_path / "tuned", layers=1)
    delta = take_difference(tuned.path, base, tmp_path / "delta")
    changed = {name for name, facts in delta.facts.tensors.items() if facts.how == "ulps"}
    assert all("layer.2." in name for name in changed)
    difference = (delta.path / "delta.safetensors").stat().st_size
    assert difference < (tuned.path / "model.safetensors").stat().st_size / 2


@pytest.mark.parametrize(("form", "at_most"), [("int8", 0.01), ("int4", 0.2), ("sign", 0.8)])
def test_a_low_bit_form_says_what_it_loses(pair, tmp_path, form, at_most):
    base, tuned = pair
    delta = take_difference(tuned.path, base, tmp_path / "delta", form=form)
    start, meant = read_weights(base.path), read_weights(tuned.path)
    found = tensors_of(read_delta(delta.path), start)
    lost = max(float((found[name] - meant[name]).abs().max()) for name in meant)
    assert 0 < delta.facts.error.relative < at_most
    assert lost == pytest.approx(delta.facts.error.largest, rel=1e-2, abs=1e-7)
    with pytest.raises(UsageError, match="an exact delta"):
        base_tensors_of(delta, found)


def test_weights_in_half_precision_come_back_too(tmp_path):
    base = saved(tiny_model("bert", Task.FEATURE_EXTRACTION, dtype=torch.bfloat16), tmp_path / "base")
    tuned = saved(tiny_model("bert", Task.FEATURE_EXTRACTION, dtype=torch.bfloat16, seed=2), tmp_path / "tuned")
    delta = take_difference(tuned.path, base, tmp_path / "delta")
    assert digest_of(tensors_of(delta, read_weights(base.path))) == digest_of(read_weights(tuned.path))


def test_another_base_is_refused_by_its_digest(delta, pair, tmp_path):
    other = base_of(tmp_path / "other", seed=9)
    shutil.rmtree(pair[0].path)
    shutil.copytree(other.path, pair[0].path)
    with pytest.raises(CheckpointError, match=f"its digest is {other.digest[:12]}.*expected .* with digest"):
        find_checkpoint(str(delta.path))


def test_a_base_that_is_gone_is_named(delta, pair):
    shutil.rmtree(pair[0].path)
    with pytest.raises(CheckpointError, match=r"which cannot be opened.*penjing delta apply"):
        find_checkpoint(str(delta.path))


def test_what_was_restored_once_is_opened_without_the_base(delta, pair):
    first = find_checkpoint(str(delta.path))
    shutil.rmtree(pair[0].path)
    assert find_checkpoint(str(delta.path)).digest == first.digest


def test_a_base_of_another_architecture_is_refused(pair, tmp_path):
    small = saved(tiny_model("distilbert", Task.FEATURE_EXTRACTION, dtype=torch.float32), tmp_path / "small")
    with pytest.raises(CheckpointError, match=r"is a bert, .* is a distilbert"):
        take_difference(pair[1].path, small, tmp_path / "delta")


def test_a_file_that_was_cut_short_or_changed_is_refused(delta):
    file = delta.path / "delta.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    with pytest.raises(CheckpointError, match="its header promises"):
        read_delta(delta.path)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="not as it was written"):
        read_delta(delta.path)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"lacks delta\.safetensors"):
        read_delta(delta.path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"form": "zip"}, "form"),
        ({"tensors": {"a": {"how": "same"}}}, "tensors.a.of"),
        ({"files": {"../../etc/passwd": "0" * 64}}, "names '../../etc/passwd'"),
        ({"files": {"adapter_model.bin": "0" * 64}}, "names 'adapter_model.bin'"),
    ],
)
def test_facts_that_do_not_fit_are_refused(delta, change, told):
    file = delta.path / "delta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CheckpointError, match=told):
        read_delta(delta.path)


def test_facts_that_lie_about_the_tensors_are_found_out(delta, pair):
    start = read_weights(pair[0].path)
    names = dict(delta.facts.tensors)
    name = next(name for name, facts in names.items() if facts.how == "ulps")
    for change in ({"how": "same"}, {"shape": (1, 2)}, {"how": "int8"}):
        told = delta.facts.model_copy(update={"tensors": names | {name: names[name].model_copy(update=change)}})
        with pytest.raises(CheckpointError):
            tensors_of(type(delta)(delta.path, told), start)


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"a": 1}'])
def test_facts_that_are_none_are_refused(delta, content):
    (delta.path / "delta.json").write_text(content)
    with pytest.raises(CheckpointError):
        read_delta(delta.path)


def test_other_directories_are_told_apart(pair, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no delta\.json"):
        read_delta(pair[1].path)
    with pytest.raises(CheckpointError, match="is not a directory"):
        read_delta(tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not say by digest"):
        read_delta(tmp_path / "plain")
