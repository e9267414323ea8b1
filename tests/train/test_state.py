"""The directory of states: corruption, strangers and full disks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from penjing.core.errors import ResourceError, UsageError
from penjing.train.optimiser import build_optimiser
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import RunState, StateDirectory
from train.toy import FAST, Watcher, run, toy_encoder, toy_set, weights_of

DATA = toy_set(32)


@pytest.fixture
def states(tmp_path):
    return StateDirectory(tmp_path / "states", run_id="this run")


def parts():
    encoder = toy_encoder()
    return encoder.model, build_optimiser(encoder.model, TrainingRecipe(**FAST))


def two_states(states):
    """States after steps 1 and 2, as when the first could not be dropped."""
    model, optimiser = parts()
    for step in (1, 2):
        with torch.no_grad():
            model.classifier.bias.fill_(step)
        states.save(RunState(step, [{"step": step}]), model, optimiser)
        if step == 1:
            shutil.copytree(states.path / "step-000000001", states.path.parent / "kept")
    shutil.copytree(states.path.parent / "kept", states.path / "step-000000001")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("state.json", lambda path: path.write_text("{")),
        ("state.json", lambda path: path.write_text("[]")),
        ("state.json", lambda path: path.unlink()),
        ("weights.safetensors", cut),
        ("weights.safetensors", flip),
        ("weights.safetensors", lambda path: path.unlink()),
        ("optimiser.safetensors", lambda path: path.write_bytes(b"")),
    ],
)
def test_a_spoilt_state_is_told_and_the_earlier_one_used(states, name, spoil):
    two_states(states)
    spoil(states.path / "step-000000002" / name)
    model, optimiser = parts()
    watcher = Watcher()
    found = states.restore(model, optimiser, watcher)
    assert found == RunState(1, [{"step": 1}])
    assert model.classifier.bias[0] == 1
    assert len(watcher.said) == 1
    assert "step-000000002 cannot be read" in watcher.said[0]


def test_without_a_readable_state_the_run_begins_anew(states):
    run(toy_encoder(), DATA, states=states, save_every_s=0.0)
    for path in states.path.rglob("*.safetensors"):
        cut(path)
    watcher = Watcher()
    encoder, fresh = toy_encoder(), toy_encoder()
    assert run(encoder, DATA, states=states, save_every_s=0.0, watcher=watcher).resumed_at == 0
    assert "beginning anew" in watcher.said[0]
    run(fresh, DATA)
    np.testing.assert_array_equal(encoder.model.classifier.weight.detach(), fresh.model.classifier.weight.detach())


def test_the_state_of_another_run_is_refused(states):
    run(toy_encoder(), DATA, states=states, save_every_s=0.0)
    stranger = StateDirectory(states.path, run_id="another run")
    with pytest.raises(UsageError, match=r"state of a run with other data.*expected.*Remove the directory"):
        run(toy_encoder(), DATA, states=stranger, save_every_s=0.0)


def test_what_a_killed_save_left_is_cleared(states):
    (states.path / ".staging-left").mkdir(parents=True)
    (states.path / ".staging-left" / "weights.safetensors").write_bytes(b"half")
    model, optimiser = parts()
    assert states.restore(model, optimiser, Watcher()) is None
    assert list(states.path.iterdir()) == []


def test_a_full_disk_costs_a_state_and_not_the_run(states, monkeypatch):
    straight, encoder = toy_encoder(), toy_encoder()
    run(straight, DATA)
    from safetensors.torch import save_file

    calls = []

    def full_after_two(tensors, path):
        calls.append(path)
        if len(calls) > 2:  # the first state is two files
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save_file(tensors, path)

    monkeypatch.setattr("penjing.train.state.save_file", full_after_two)
    watcher = Watcher()
    done = run(encoder, DATA, states=states, save_every_s=0.0, watcher=watcher)
    assert len(watcher.said) == done.steps - 1
    assert watcher.said[0].startswith("No state was saved at step 2: writing")
    assert "No space left on device" in watcher.said[0]
    assert [path.name for path in states.path.iterdir()] == ["step-000000001"], (
        "the state before is kept, and no litter"
    )
    for name, weight in weights_of(straight).items():
        np.testing.assert_array_equal(weight, weights_of(encoder)[name], err_msg=name)


def test_a_place_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").touch()
    model, optimiser = parts()
    with pytest.raises(ResourceError, match=r"writing .* failed.*Free space"):
        StateDirectory(tmp_path / "file" / "states", run_id="x").save(RunState(1, []), model, optimiser)
