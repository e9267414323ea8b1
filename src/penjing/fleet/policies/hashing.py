"""The policy that sends equal keys to the same place."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b

from penjing.fleet.policies.base import Load, Work


class ConsistentHash:
    """A key's own replica, unless that one has more than its share: then the next one on the ring.

    When a replica comes or goes, only the keys move that were its, or become its. No replica has more than ``bound``
    times its fair share of the requests under way (rounded up), so that a key that everybody asks for cannot drown it.

    Args:
        bound: above 1; 1.25 is 25 % over the fair share.
        points: on the ring, for each replica of weight 1.

    Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018; Karger et al., STOC
    1997.
    """

    def __init__(self, *, bound: float = 1.25, points: int = 128) -> None:
        self._bound, self._points = bound, points
        self._known: dict[str, float] = {}
        self._places: list[int] = []
        self._owners: list[str] = []

    def choose(self, work: Work, among: Sequence[Load]) -> Load:
        """See :class:`penjing.fleet.policies.base.Policy`."""
        self._learn(among)
        offered = {load.name: load for load in among}
        under_way = 1 + sum(load.in_flight for load in among)
        weights = sum(load.weight for load in among)
        start = bisect(self._places, _place(work.key))
        for step in range(len(self._owners)):
            # Whoever is not offered is passed over, as if he had no place: his keys go to the next, all others stay.
            load = offered.pop(self._owners[(start + step) % len(self._owners)], None)
            if load and load.in_flight < math.ceil(self._bound * under_way * load.weight / weights):
                return load
            if not offered:
                break
        return min(among, key=lambda load: load.in_flight / load.weight)  # all are full, but by rounding

    def _learn(self, among: Sequence[Load]) -> None:
        """Give a place on the ring to those that have none yet."""
        if all(self._known.get(load.name) == load.weight for load in among):
            return
        self._known |= {load.name: load.weight for load in among}
        ring = sorted(
            (_place(f"{name} {point}".encode()), name)
            for name, weight in self._known.items()
            for point in range(max(1, round(self._points * weight)))
        )
        self._places, self._owners = [place for place, _ in ring], [name for _, name in ring]


def _place(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
