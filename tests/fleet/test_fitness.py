"""Fitness and budget as functions of what happened when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.fleet.budget import RetryBudget
from penjing.fleet.fitness import Fitness, FitnessRecipe


def test_silence_is_no_no_at_first():
    fitness = Fitness(FitnessRecipe(unready_after=3))
    fitness.said(True, now=0)
    assert [fitness.silent() for _ in range(3)] == [False, False, True]
    assert not fitness.is_ready
    fitness.said(True, now=1)
    assert fitness.is_ready
    fitness.said(False, now=2)
    assert not fitness.is_ready


def test_each_time_it_is_put_aside_for_longer_and_forgiven_in_the_end():
    fitness = Fitness(FitnessRecipe(eject_after=2, eject_s=10, eject_longest_s=25))
    assert [fitness.failed(), fitness.failed()] == [False, True]
    lasted, now = [], 0.0
    for _ in range(4):
        fitness.eject(now=now)
        lasted.append(next(step for step in range(100) if not fitness.is_ejected(now=now + step)))
        now += lasted[-1]
    assert lasted == [10, 20, 25, 25]
    fitness.eject(now=now + 26)
    assert not fitness.is_ejected(now=now + 26 + 10)


def test_an_answer_forgives_failures():
    fitness = Fitness(FitnessRecipe(eject_after=2))
    fitness.failed()
    fitness.answered()
    assert not fitness.failed()


def test_a_clock_that_jumps_back_keeps_nobody_aside():
    fitness = Fitness(FitnessRecipe(eject_s=10))
    fitness.eject(now=1000)
    assert fitness.is_ejected(now=1001)
    assert not fitness.is_ejected(now=0)


def test_a_replica_that_comes_gets_more_and_more():
    fitness = Fitness(FitnessRecipe(slow_start_s=10))
    fitness.said(True, now=100)
    shares = [fitness.share(now=100 + second) for second in range(12)]
    assert shares[0] == pytest.approx(0.1)
    assert shares == sorted(shares)
    assert shares[5] == pytest.approx(0.5)
    assert shares[10:] == [1, 1]


@given(st.lists(st.floats(0, 0.2), min_size=50, max_size=200), st.floats(0, 0.5), st.floats(0, 5))
def test_repetitions_stay_within_their_share(gaps, share, free_per_s):
    budget, now, repeated = RetryBudget(share=share, free_per_s=free_per_s), 0.0, 0
    for gap in gaps:
        now += gap
        budget.arrived()
        repeated += budget.may_repeat(now=now)
    assert repeated <= share * len(gaps) + free_per_s * (10 + now) + 1e-6


def test_a_fleet_that_refuses_everything_is_not_asked_twice():
    budget = RetryBudget(share=0.2, free_per_s=0)
    for _ in range(1000):
        budget.arrived()
    assert sum(budget.may_repeat(now=1) for _ in range(1000)) <= 200
