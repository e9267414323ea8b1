"""The policy that knows how much work a request is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penjing.fleet.policies.base import Load, Work


class LeastWork:
    """Where the request would be done first: least outstanding tokens, each at the replica's own pace.

    A general proxy counts requests; here a long one counts for what it is. The pace of a replica is learnt
    from its answers (:attr:`Load.seconds_per_token`); one of which nothing is known yet is taken to be as fast as the
    others are on average. Of equals the one whose turn it is.

    Source: join the shortest queue by work: Harchol-Balter, "Performance Modeling and Design of Computer Systems"
    (2013), chapter 24 (Least-Work-Left); Gupta et al., "Analysis of join-the-shortest-queue routing for web server
    farms", Performance Evaluation 64 (2007).
    """

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, work: Work, among: Sequence[Load]) -> Load:
        """See :class:`penjing.fleet.policies.base.Policy`."""
        self._turn = (self._turn + 1) % len(among)
        finish = finishing(among)
        turned = (*among[self._turn :], *among[: self._turn])
        return min(turned, key=lambda load: finish(load, work.tokens))


def finishing(among: Sequence[Load]) -> Callable[[Load, float], float]:
    """When a replica would have done so many tokens more, in seconds where paces are known."""
    paces = [pace for load in among if (pace := load.seconds_per_token)]
    usual = sum(paces) / len(paces) if paces else 1.0

    def finish(load: Load, tokens: float) -> float:
        return (load.tokens + tokens) * (load.seconds_per_token or usual / load.weight) / load.share

    return finish
