"""What stays of a model under a limit of time or bytes: for each part one level, so that least is lost.

A part is a layer's attention or its feed-forward; its levels are how much of it stays, each of which costs something
and loses something. That is a multiple-choice knapsack, solved by dynamic programming over the limit cut into steps.
Source: Frantar and Alistarh, "SPDY", arXiv 2201.13096, algorithm 1; with structure, Kurtic et al., "ZipLM", 2302.04089.

Promise: costs are rounded up, so the limit is kept; what is found loses no more than any other choice would whose
rounded costs keep it. Trade: losses are added up as if parts did not know of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_STEPS = 10_000


def choose_levels(costs: Sequence[Floats], losses: Sequence[Floats], *, limit: float) -> list[int] | None:
    """For each part a level; None where even the cheapest of all exceed the limit.

    Args:
        costs: of each part's levels (levels,), in what the limit is in.
        losses: likewise, what each level loses.
        limit: of the costs' sum.
    """
    if limit <= 0:
        return None
    steps = [np.ceil(np.maximum(one, 0) / limit * _STEPS - 1e-9).astype(np.int64) for one in costs]
    best = np.zeros(_STEPS + 1)  # least loss of the parts so far, by steps spent at most
    taken = []
    for cost, loss in zip(steps, losses, strict=True):
        options = np.full((len(cost), _STEPS + 1), np.inf)
        for level, spent in enumerate(cost.tolist()):
            if spent <= _STEPS:
                options[level, spent:] = best[: _STEPS + 1 - spent] + loss[level]
        taken.append(options.argmin(axis=0))
        best = options.min(axis=0)
    if not np.isfinite(best[-1]):
        return None
    return _walk_back(steps, taken)


def _walk_back(steps: Sequence[npt.NDArray[np.int64]], taken: Sequence[npt.NDArray[np.int64]]) -> list[int]:
    left, levels = _STEPS, []
    for cost, choice in zip(reversed(steps), reversed(taken), strict=True):
        level = int(choice[left])
        levels.append(level)
        left -= int(cost[level])
    return levels[::-1]
