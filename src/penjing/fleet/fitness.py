"""Whether a replica is fit to be sent requests: what probes say, and what its answers say.

Three things are kept apart. *Ready* is what the replica says of itself, honestly, at /readyz. *Ejected* is what its
answers say: several failures in a row put it aside for a while, longer each time, whatever it claims. *Share* grows
from little to all for some seconds after it has come (back), so that cold caches and compilers meet few requests.

Pure: time comes in as a number. A clock that jumps backwards prolongs nothing by more than the jump.

Source: Envoy, "Outlier detection" (consecutive failures, base ejection time times the number of ejections) and "Slow
start mode"; Kubernetes, probe thresholds.
"""

from __future__ import annotations

from pydantic import Field

from penjing.core.nouns import Frozen

_LEAST_SHARE = 0.1


class FitnessRecipe(Frozen):
    """When replicas are sent requests.

    Attributes:
        path: what is asked; 200 is ready, any other status is not.
        every_s: how often.
        within_s: longest time for an answer.
        unready_after: probes that must fail before a silent replica counts as gone; its requests are then sent
            elsewhere. One that says it is not ready, or refuses the connection, is taken at its word.
        eject_after: failed requests in a row that put a replica aside; None never does.
        eject_s, eject_longest_s: for how long: the former times how often it was put aside of late, at most the latter.
        eject_most: share of the replicas that may be aside at one time; one always may, as long as another is left.
        slow_start_s: how long a replica that has come is sent less than its share; 0 is not at all.
    """

    path: str = Field(default="/readyz", pattern="^/")
    every_s: float = Field(default=0.5, gt=0)
    within_s: float = Field(default=1.0, gt=0)
    unready_after: int = Field(default=2, ge=1)
    eject_after: int | None = Field(default=5, ge=1)
    eject_s: float = Field(default=5.0, gt=0)
    eject_longest_s: float = Field(default=300.0, gt=0)
    eject_most: float = Field(default=0.5, ge=0, le=1)
    slow_start_s: float = Field(default=0.0, ge=0)


class Fitness:
    """See the module. Of one replica.

    Attributes:
        is_ready: as probes have it.
        ejections: how often it was put aside.
    """

    def __init__(self, told: FitnessRecipe) -> None:
        self._told = told
        self._missed = self._failed = self._level = 0
        self._until = self._since = self._ejected_at = float("-inf")
        self.is_ready = False
        self.ejections = 0

    def said(self, is_ready: bool, *, now: float) -> None:
        """A probe was answered."""
        self._missed = 0
        if is_ready and not self.is_ready:
            self._since = now
        self.is_ready = is_ready

    def silent(self) -> bool:
        """A probe was not answered; whether that makes the replica count as gone."""
        self._missed += 1
        is_gone = self._missed >= self._told.unready_after
        self.is_ready = self.is_ready and not is_gone
        return is_gone

    def unreachable(self) -> None:
        """It takes no connections: gone until a probe finds it again."""
        self.is_ready = False

    def answered(self) -> None:
        """It has answered a request."""
        self._failed = 0

    def failed(self) -> bool:
        """It has failed one; whether it ought to be put aside."""
        self._failed += 1
        return self._told.eject_after is not None and self._failed >= self._told.eject_after

    def eject(self, *, now: float) -> None:
        """Put it aside for a while, longer if it was aside not long ago."""
        quiet = max(0.0, now - max(self._until, self._ejected_at)) // self._told.eject_longest_s
        self._level = 1 if quiet else self._level + 1
        self._failed, self._ejected_at = 0, now
        self.ejections += 1
        self._until = now + min(self._told.eject_longest_s, self._told.eject_s * self._level)

    def is_ejected(self, *, now: float) -> bool:
        """Whether it is aside."""
        return self._ejected_at <= now < self._until

    def share(self, *, now: float) -> float:
        """How much of its weight counts, 0 < share ≤ 1."""
        passed = now - max(self._since, self._until)
        if passed >= self._told.slow_start_s or passed < 0:
            return 1.0
        return max(_LEAST_SHARE, passed / self._told.slow_start_s)
