"""Looks at held-out loss: they change when a run ends and what it keeps, and no bit besides."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from penjing.core.errors import UsageError
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet
from train.toy import Watcher, run, toy_encoder, toy_set, weights_of

DATA, HELD = toy_set(48), toy_set(24, seed=5)
NOISE = TrainingSet(HELD.sequences, (HELD.targets + 1) % 3)  # the more is learnt, the worse it gets


def looks(done):
    return [(int(one["step"]) + 1, one["validation_loss"]) for one in done.history if "validation_loss" in one]


def same(one, other):
    return all((a == b).all() for a, b in zip(weights_of(one).values(), weights_of(other).values(), strict=True))


def test_looks_come_at_even_distances_and_change_nothing():
    plain, watched = toy_encoder(), toy_encoder()
    run(plain, DATA, dropout=0.1)
    done = run(watched, DATA, validation=HELD, dropout=0.1, validate_every=0.5)
    assert [step for step, _ in looks(done)] == [3, 6, 9, 12, 15, 18]
    assert looks(done)[-1][1] < looks(done)[0][1]
    assert same(plain, watched)
    assert (done.steps, done.kept_step) == (18, 18)


def test_the_last_step_is_looked_at_even_off_the_beat():
    done = run(toy_encoder(), DATA, validation=HELD, epochs=1, validate_every=0.7)
    assert [step for step, _ in looks(done)] == [4, 6]


def test_patience_ends_a_run_that_gets_no_better():
    said = Watcher()
    done = run(toy_encoder(), DATA, validation=NOISE, watcher=said, epochs=8, validate_every=0.5, patience=3)
    steps = [step for step, _ in looks(done)]
    losses = [loss for _, loss in looks(done)]
    assert done.steps == steps[-1] < 48
    assert losses.index(min(losses)) == len(losses) - 4
    assert any(f"Stopped at step {done.steps}: no lower validation loss since" in line for line in said.said)


def test_the_best_weights_are_those_of_the_best_look():
    kept, shorter = toy_encoder(), toy_encoder()
    done = run(kept, DATA, validation=NOISE, epochs=8, validate_every=0.5, keep="best")
    best = min(looks(done), key=lambda look: look[1])[0]
    assert done.kept_step == best < done.steps == 48
    stopped = []

    def remember(step):
        if step == best:
            stopped.append(weights_of(shorter))

    run(shorter, DATA, watcher=Watcher(remember), epochs=8)
    for one, other in zip(weights_of(kept).values(), stopped[0].values(), strict=True):
        np.testing.assert_array_equal(one, other)


class StoppedError(Exception):
    pass


def test_a_run_that_was_stopped_looks_and_keeps_as_if_it_had_not(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("penjing.train.loop.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    settings = {"epochs": 4, "validate_every": 0.5, "keep": "best", "patience": 5, "save_every_s": 5.0}
    whole = toy_encoder()
    straight = run(whole, DATA, validation=NOISE, **settings)
    for stop_at in (8, 3, 6, 200):
        stopped = toy_encoder()

        def stop(done, stop_at=stop_at):
            if done == stop_at:
                raise StoppedError

        try:
            states = StateDirectory(tmp_path, run_id="x")
            resumed = run(stopped, DATA, validation=NOISE, states=states, watcher=Watcher(stop), **settings)
        except StoppedError:
            continue
    assert resumed.resumed_at > 0
    assert looks(resumed) == looks(straight)
    assert (resumed.steps, resumed.kept_step) == (straight.steps, straight.kept_step)
    assert same(whole, stopped)


def test_looks_need_a_validation_split_and_patience_needs_looks():
    with pytest.raises(UsageError, match=r"validate_every is set.*validation_fraction"):
        run(toy_encoder(), DATA, validate_every=1)
    for setting in ({"patience": 2}, {"keep": "best"}):
        with pytest.raises(ValidationError, match="set validate_every: 1"):
            TrainingRecipe(**setting)
