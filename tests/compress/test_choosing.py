"""The knapsack against every choice there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from penjing.compress.choosing import choose_levels


@pytest.mark.parametrize("seed", range(8))
def test_it_loses_no_more_than_the_best_of_all_choices(seed):
    rng = np.random.default_rng(seed)
    costs = [np.sort(rng.random(levels)) for levels in (3, 4, 2, 5)]
    losses = [np.sort(rng.random(levels))[::-1] for levels in (3, 4, 2, 5)]
    limit = rng.uniform(0.5, 2.5)
    chosen = choose_levels(costs, losses, limit=limit)
    fitting = [
        (sum(loss[at] for loss, at in zip(losses, every, strict=True)), every)
        for every in product(*(range(len(one)) for one in costs))
        if sum(cost[at] for cost, at in zip(costs, every, strict=True)) <= limit * (1 - 5e-4)
    ]
    if chosen is None:
        assert not fitting
        return
    assert sum(cost[at] for cost, at in zip(costs, chosen, strict=True)) <= limit
    assert sum(loss[at] for loss, at in zip(losses, chosen, strict=True)) <= min(fitting)[0] + 1e-12


def test_all_stays_where_there_is_room_and_nothing_is_found_where_there_is_none():
    costs, losses = [np.array([0.0, 1.0, 2.0])] * 2, [np.array([5.0, 1.0, 0.0])] * 2
    assert choose_levels(costs, losses, limit=4) == [2, 2]
    assert choose_levels(costs, losses, limit=1) in ([0, 1], [1, 0])
    assert choose_levels([np.array([1.0])], [np.array([0.0])], limit=0.5) is None
    assert choose_levels(costs, losses, limit=-1) is None
