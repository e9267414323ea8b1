"""A run stopped anywhere, any number of times, ends with the weights of one that was not: bit for bit."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest

from penjing.train.state import StateDirectory
from train.toy import Watcher, run, toy_encoder, toy_set, weights_of

DATA = toy_set(48)


class StoppedError(Exception):
    """What a test stops the loop with."""


def stopper(step):
    def stop(done):
        if done == step:
            raise StoppedError

    return Watcher(stop)


def states_in(path):
    return StateDirectory(path, run_id="this run")


@pytest.fixture
def slow_clock(monkeypatch):
    """A second passes at every look, so that a state every 7 s is one every few steps."""
    ticks = itertools.count()
    monkeypatch.setattr("penjing.train.loop.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("frozen_layers", [0, 2])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("slow_clock")
def test_any_number_of_stops_changes_no_bit(tmp_path, dropout, frozen_layers, seed):
    settings = {"dropout": dropout, "frozen_layers": frozen_layers, "save_every_s": 7.0}
    straight = toy_encoder()
    whole = run(straight, DATA, **settings)
    moments, resumed_at = random.Random(seed), []
    while True:
        stopped = toy_encoder()
        try:
            done = run(stopped, DATA, states=states_in(tmp_path), watcher=stopper(moments.randrange(2, 14)), **settings)
        except StoppedError:
            continue
        finally:
            resumed_at.append(max((int(path.name[5:]) for path in tmp_path.glob("step-*")), default=0))
        break
    assert len(resumed_at) > 1, "never stopped"
    for (name, one), other in zip(weights_of(straight).items(), weights_of(stopped).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert done.resumed_at > 0
    assert (done.steps, done.tokens) == (whole.steps, whole.tokens)
    for one, other in zip(whole.history, done.history, strict=True):
        assert {**one, "tokens_per_s": 0} == {**other, "tokens_per_s": 0}


def test_a_finished_run_started_again_has_nothing_left_to_do(tmp_path):
    first, second = toy_encoder(), toy_encoder()
    whole = run(first, DATA, states=states_in(tmp_path), save_every_s=0.0)
    watcher = Watcher()
    again = run(second, DATA, states=states_in(tmp_path), save_every_s=0.0, watcher=watcher)
    assert watcher.steps == 0
    assert watcher.said == [f"Resuming at step {whole.steps} of {whole.steps}."]
    assert again.resumed_at == whole.steps
    for name, weight in weights_of(first).items():
        np.testing.assert_array_equal(weight, weights_of(second)[name], err_msg=name)


def test_only_the_newest_state_is_kept(tmp_path):
    seen = set()
    watcher = Watcher(lambda step: seen.update({len(list(tmp_path.iterdir()))} if step > 1 else set()))
    run(toy_encoder(), DATA, states=states_in(tmp_path), save_every_s=0.0, watcher=watcher)
    assert seen == {1}
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000018"]
