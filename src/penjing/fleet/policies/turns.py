"""Policies that go by turns, and look at nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from penjing.fleet.policies.base import Load, Work


class RoundRobin:
    """One after the other; weights do not count.

    Trade: knows neither how much work a request is nor how much a replica has. With requests of unequal length long
    ones pile up somewhere.
    """

    def __init__(self) -> None:
        self._next = 0

    def choose(self, work: Work, among: Sequence[Load]) -> Load:  # noqa: ARG002  of all requests alike
        """See :class:`penjing.fleet.policies.base.Policy`."""
        chosen = among[self._next % len(among)]
        self._next = (self._next + 1) % (1 << 62)
        return chosen


class SmoothWeightedRoundRobin:
    """By turns in proportion to the weights, evenly spread: 5, 1, 1 gives a a b a c a a.

    Each time, everybody's credit grows by his weight; the one with the most is chosen and pays for all. Of equals the
    first one is chosen.

    Source: nginx, ``src/http/ngx_http_upstream_round_robin.c`` (ngx_http_upstream_get_peer).
    """

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def choose(self, work: Work, among: Sequence[Load]) -> Load:  # noqa: ARG002  of all requests alike
        """See :class:`penjing.fleet.policies.base.Policy`."""
        credit, best = self._credit, among[0]
        for load in among:
            credit[load.name] = credit.get(load.name, 0.0) + load.effective
            if credit[load.name] > credit[best.name]:
                best = load
        credit[best.name] -= sum(load.effective for load in among)
        return best
