"""The policy that knows how much work a request is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penjing.fleet.policies.base import Load, Work

_TRY_AGAIN = 16  # choices after which somebody idle who was passed over is tried


class LeastWork:
    """Where the request would be done first: least outstanding tokens, each at the replica's own pace.

    A general proxy counts requests; here a long one counts for what it is. The pace of a replica is learnt
    from its answers (:attr:`Load.seconds_per_token`); one of which nothing is known yet is taken to be as fast as the
    others are on average. Of equals the one whose turn it is. Whoever has been passed over for
    long is tried again as soon as he is idle, or one slow answer would condemn him for ever.

    Source: join the shortest queue by work: Harchol-Balter, "Performance Modeling and Design of Computer Systems"
    (2013), chapter 24 (Least-Work-Left); Gupta et al., "Analysis of join-the-shortest-queue routing for web server
    farms", Performance Evaluation 64 (2007).
    """

    def __init__(self) -> None:
        self._turns = Turns()

    def choose(self, work: Work, among: Sequence[Load]) -> Load:
        """See :class:`penjing.fleet.policies.base.Policy`."""
        finish = finishing(among)
        return self._turns.least(among, lambda load: finish(load, work.tokens))


class Turns:
    """Chooses the least, remembers who was chosen when, and lets nobody be forgotten."""

    def __init__(self) -> None:
        self._count = 0
        self._chosen: dict[str, int] = {}

    def least(self, among: Sequence[Load], of: Callable[[Load], float]) -> Load:
        """The one with the least of something; of equals the one whose turn it is."""
        self._count += 1
        turn = self._count % len(among)
        chosen = self._passed_over(among) or min((*among[turn:], *among[:turn]), key=of)
        self._chosen[chosen.name] = self._count
        return chosen

    def _passed_over(self, among: Sequence[Load]) -> Load | None:
        if self._count % _TRY_AGAIN:
            return None
        oldest = min(among, key=lambda load: self._chosen.get(load.name, 0))
        is_long_ago = self._count - self._chosen.get(oldest.name, 0) >= _TRY_AGAIN
        return oldest if is_long_ago and not oldest.in_flight and oldest.seconds_per_token else None


def finishing(among: Sequence[Load]) -> Callable[[Load, float], float]:
    """When a replica would have done so many tokens more, in seconds where paces are known."""
    paces = [pace for load in among if (pace := load.seconds_per_token)]
    usual = sum(paces) / len(paces) if paces else 1.0

    def finish(load: Load, tokens: float) -> float:
        return (load.tokens + tokens) * (load.seconds_per_token or usual / load.weight) / load.share

    return finish
