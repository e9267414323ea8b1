"""How many repetitions a gateway allows itself.

A replica that refuses because it is full is asked again elsewhere; were that done for every request, a full fleet would
get twice the load. Each request pays a part of a repetition in; besides, a few each second are free, so that
a quiet gateway can repeat at all.

Source: Twitter's Finagle, RetryBudget; Google, "Site Reliability Engineering" (2016), chapter 22 (retry budgets).
"""

from __future__ import annotations

_KEPT_S = 10.0  # what is not used for so long is lost


class RetryBudget:
    """See the module. Times are of one clock, whichever.

    Args:
        share: repetitions for each request.
        free_per_s: and besides.
    """

    def __init__(self, *, share: float, free_per_s: float) -> None:
        self._share, self._free_per_s = share, free_per_s
        self._left, self._then = free_per_s * _KEPT_S, 0.0
        self._arrived = 0.0

    def arrived(self) -> None:
        """A request came."""
        self._left += self._share
        self._arrived += 1

    def may_repeat(self, *, now: float) -> bool:
        """Take one repetition out, if there is one."""
        passed = min(_KEPT_S, max(0.0, now - self._then))
        self._then = now
        most = self._free_per_s * _KEPT_S + self._share * self._arrived
        self._arrived *= 1 - passed / _KEPT_S
        self._left = min(most, self._left + self._free_per_s * passed)
        if self._left < 1:
            return False
        self._left -= 1
        return True
