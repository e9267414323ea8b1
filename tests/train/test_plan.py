"""Order of rows and course of the rate: pure functions with laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.train.optimiser import rate_factor
from penjing.train.plan import StepPlan

ROWS = st.integers(1, 200)
SIZES = st.integers(1, 70)
SEEDS = st.integers(0, 2**31)


@given(rows=ROWS, size=SIZES, seed=SEEDS, epochs=st.integers(1, 4))
def test_each_epoch_is_a_permutation_of_all_rows(rows, size, seed, epochs):
    plan = StepPlan(rows, size, epochs=epochs, seed=seed)
    assert plan.steps == epochs * plan.steps_per_epoch
    for epoch in range(epochs):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        batches = [plan.batch(step) for step in steps]
        assert all(len(batch) == size for batch in batches[:-1])
        assert 0 < len(batches[-1]) <= size
        assert sorted(np.concatenate(batches)) == list(range(rows))


@given(rows=ROWS, size=SIZES, seed=SEEDS, data=st.data())
def test_a_batch_depends_on_nothing_but_the_seed_and_its_step(rows, size, seed, data):
    asked = data.draw(st.lists(st.integers(0, 3 * -(-rows // size) - 1), min_size=1, max_size=8))
    plan = StepPlan(rows, size, epochs=3, seed=seed)
    for step in asked:
        fresh = StepPlan(rows, size, epochs=3, seed=seed)
        np.testing.assert_array_equal(plan.batch(step), fresh.batch(step))


def test_epochs_and_seeds_shuffle_differently():
    plan, other = (StepPlan(100, 100, epochs=2, seed=seed) for seed in (1, 2))
    assert list(plan.batch(0)) != list(plan.batch(1))
    assert list(plan.batch(0)) != list(other.batch(0))


@pytest.mark.parametrize(("epochs", "steps"), [(0.001, 1), (0.5, 5), (1.25, 12), (3, 30)])
def test_a_fraction_of_an_epoch_is_that_share_of_its_steps(epochs, steps):
    assert StepPlan(100, 10, epochs=epochs, seed=0).steps == steps


@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.99))
def test_the_rate_rises_to_its_peak_and_falls_to_just_above_nothing(steps, warmup):
    factors = [rate_factor(step, steps=steps, warmup_fraction=warmup) for step in range(steps)]
    peak = round(warmup * steps)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    if peak < steps:
        assert factors[peak] == 1
        assert factors[-1] == 1 / (steps - peak)


def test_the_rate_with_a_warm_up_of_two_steps():
    factors = [rate_factor(step, steps=6, warmup_fraction=1 / 3) for step in range(6)]
    np.testing.assert_allclose(factors, [1 / 3, 2 / 3, 1, 3 / 4, 2 / 4, 1 / 4])
