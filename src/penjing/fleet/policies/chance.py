"""Policies that draw lots."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from penjing.fleet.policies.base import Load, Work


class RandomChoice:
    """Any of them, by weight.

    Args:
        seed: the same one draws the same.
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self._random = Random(seed)

    def choose(self, work: Work, among: Sequence[Load]) -> Load:  # noqa: ARG002  of all requests alike
        """See :class:`penjing.fleet.policies.base.Policy`."""
        left = self._random.random() * sum(load.effective for load in among)
        for load in among:
            left -= load.effective
            if left < 0:
                return load
        return among[-1]  # what rounding has left over


class LeastRequest:
    """Of two drawn at random, the one with fewer requests under way; by turns where weights differ.

    Two draws bring the longest queue from log n / log log n down to log log n. With unequal weights a replica's
    weight is divided by its requests under way and one more, to the power of ``bias``, and the earliest deadline goes
    first: whoever was chosen comes again after one over his weight.

    Args:
        seed: the same one draws the same.
        bias: how much the requests under way count where weights differ; 0 not at all.

    Source: Envoy, ``source/extensions/load_balancing_policies/least_request``; Mitzenmacher, "The power of two choices
    in randomized load balancing", IEEE TPDS 12 (2001).
    """

    def __init__(self, *, seed: int | None = None, bias: float = 1.0) -> None:
        self._random, self._bias = Random(seed), bias
        self._deadlines: dict[str, float] = {}
        self._now = 0.0

    def choose(self, work: Work, among: Sequence[Load]) -> Load:  # noqa: ARG002  of all requests alike
        """See :class:`penjing.fleet.policies.base.Policy`."""
        if all(load.effective == among[0].effective for load in among):
            return self._of_two(among)
        return self._earliest(among)

    def _of_two(self, among: Sequence[Load]) -> Load:
        first, second = self._random.choice(among), self._random.choice(among)
        return second if second.in_flight < first.in_flight else first

    def _earliest(self, among: Sequence[Load]) -> Load:
        deadlines = self._deadlines
        for load in among:
            if deadlines.get(load.name, -1.0) < self._now:  # new, or back after an absence in which the others went on
                deadlines[load.name] = self._now + 1 / self._weight(load)
        chosen = min(among, key=lambda load: deadlines[load.name])
        self._now = deadlines[chosen.name]
        deadlines[chosen.name] = self._now + 1 / self._weight(chosen)
        return chosen

    def _weight(self, load: Load) -> float:
        return load.effective / float((load.in_flight + 1) ** self._bias)
