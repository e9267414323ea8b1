"""What a policy may know, and what it answers.

A policy chooses; it counts nothing. What is under way at each replica stands in its :class:`Load`, which whoever sends
the requests keeps (the gateway, or the simulator), so that every policy sees the same facts and can be tried
without a network. Time comes in as a number, never from a clock.

Promise: ``choose`` touches no file, socket or clock, and gives back one of those it was offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_KEPT = 0.95  # of what was learnt of a replica's pace, with each further answer: the last twenty or so count
_KEPT_OF_FIRST = 0.1  # it found connections, caches and compilers cold


@dataclass(frozen=True, slots=True)
class Work:
    """What is known of a request before anybody has answered it.

    Attributes:
        tokens: how much work it is, as well as can be told beforehand; above 0.
        key: what a consistent hash goes by.
        prefix: digests of the beginnings of its prompt, block by block, each covering all before it.
    """

    tokens: float = 1.0
    key: bytes = b""
    prefix: tuple[int, ...] = ()


class Load:
    """One replica as a policy sees it.

    Args:
        name: by which it is known; unique.
        weight: its share of requests beside others; above 0.

    Attributes:
        share: how much of its weight counts now, 0 < share ≤ 1; below 1 while it starts slowly.
        in_flight: requests that were sent to it and are not answered.
        tokens: the work of those.
    """

    __slots__ = ("_busy_s", "_done", "_is_first", "_since", "in_flight", "name", "share", "tokens", "weight")

    def __init__(self, name: str, *, weight: float = 1.0) -> None:
        self.name, self.weight, self.share = name, weight, 1.0
        self.in_flight, self.tokens = 0, 0.0
        self._since = self._busy_s = self._done = 0.0
        self._is_first = False

    @property
    def effective(self) -> float:
        """The weight that counts now."""
        return self.weight * self.share

    @property
    def seconds_per_token(self) -> float | None:
        """How long it takes over a token, as learnt from its answers; None before the first.

        Busy time over work done: a replica is busy while anything is under way, so that waiting behind others is
        not taken for slowness, and several engines of one replica count for as much as they do together.
        """
        return self._busy_s / self._done if self._done else None

    def take(self, work: Work, *, now: float) -> None:
        """A request was sent to it."""
        if not self.in_flight:
            self._since = now
        self.in_flight += 1
        self.tokens += work.tokens

    def answered(self, work: Work, *, now: float) -> None:
        """It has answered one, and its pace is learnt from that."""
        kept = _KEPT_OF_FIRST if self._is_first else _KEPT
        self._is_first = not self._done
        self._busy_s = self._busy_s * kept + max(0.0, now - self._since)
        self._done = self._done * kept + work.tokens
        self._since = now
        self.lost(work)

    def lost(self, work: Work) -> None:
        """One that was sent to it has ended without an answer that says how fast it is."""
        self.in_flight -= 1
        self.tokens = max(0.0, self.tokens - work.tokens) if self.in_flight else 0.0


class Policy(Protocol):
    """A way to choose."""

    def choose(self, work: Work, among: Sequence[Load]) -> Load:
        """The replica for a request.

        Args:
            work: the request.
            among: those that may be chosen; not empty, in an order that stays.
        """
