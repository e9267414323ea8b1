"""A profile adds up, counts what is computed, and changes nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from penjing.train.profile import UNTIMED, Profile, matrix_rate
from train.toy import run, toy_encoder, toy_set, weights_of


def test_only_the_outermost_part_counts_and_all_of_it_adds_up():
    profile = Profile()
    with profile.part("validate"), profile.part("forward"):
        time.sleep(0.02)
    parts = {part.name: part for part in profile.parts()}
    assert set(parts) == {"validate", "all else"}
    assert parts["validate"].seconds >= 0.02
    assert sum(part.share for part in parts.values()) == pytest.approx(1, abs=0.01)


def test_a_part_that_fails_is_closed():
    profile = Profile()
    with pytest.raises(ValueError, match="x"), profile.part("forward"):
        raise ValueError("x")
    with profile.part("backward"):
        pass
    assert set(profile.seconds) == {"forward", "backward"}


def test_operations_are_counted_on_the_first_steps_and_scaled_by_tokens():
    profile, weight = Profile(), torch.ones(8, 4, requires_grad=True)
    for _ in range(5):
        with profile.step(tokens=10):
            (torch.ones(10, 8) @ weight).sum().backward()
    assert profile.counted == (3 * 2 * (2 * 10 * 8 * 4), 30), "forward, and the gradient of the weight"
    assert (profile.steps, profile.tokens) == (2, 20)
    profile.bound = profile.operations_per_s * 4
    assert profile.utilisation == pytest.approx(0.25)
    assert profile.operations_per_s == pytest.approx(128 * profile.tokens_per_s)


def test_without_steps_there_is_no_speed():
    profile = Profile()
    assert (profile.tokens_per_s, profile.operations_per_s, profile.utilisation) == (0, 0, 0)


def test_the_bound_is_a_rate():
    assert matrix_rate("fp32") > 1e8


def test_what_is_not_timed_costs_next_to_nothing():
    begun = time.perf_counter()
    for _ in range(10_000):
        with UNTIMED.part("forward"):
            pass
    assert time.perf_counter() - begun < 0.5


def test_a_profiled_run_ends_with_the_same_weights_and_names_its_parts():
    data, plain, profiled, profile = toy_set(48), toy_encoder(), toy_encoder(), Profile()
    settings = {"dropout": 0.2, "validate_every": 1.0, "validation": toy_set(16, seed=3)}
    run(plain, data, **settings)
    run(profiled, data, clock=profile, **settings)
    for (name, one), other in zip(weights_of(plain).items(), weights_of(profiled).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    parts = {"pack", "forward", "loss", "backward", "clip", "optimiser", "validate", "count operations"}
    assert parts <= set(profile.seconds)
    assert profile.steps > 0
    assert profile.operations_per_s > 0
