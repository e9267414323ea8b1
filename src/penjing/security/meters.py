"""How much a caller has asked for, against what was given to it.

Requests: a bucket as large as a minute's number, which fills at that rate. Tokens: counted when they are known, after
the answer, so the last request of a day may go over; the count begins anew at midnight UTC. Counts are a process's own:
several workers have a share each, and a restart forgets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import final

from penjing.core.errors import QuotaError
from penjing.security.keys import Limits

_MINUTE_S, _DAY_S = 60.0, 86_400.0


@final
class LimitMeter:
    """See the module and :class:`penjing.security.permits.Meter`.

    Args:
        limits: what was given.
        shares: among how many processes they are shared out.
        clock: seconds since 1970.
    """

    def __init__(self, limits: Limits, *, shares: int = 1, clock: Callable[[], float] = time.time) -> None:
        self._limits, self._clock = limits, clock
        self._requests, self._tokens = (
            None if most is None else max(1, math.ceil(most / shares))
            for most in (limits.requests_per_minute, limits.tokens_per_day)
        )
        self._left = float(self._requests or 0)
        self._at = clock()
        self._day, self._spent = self._at // _DAY_S, 0

    def admit(self) -> None:
        """Count a request.

        Raises:
            QuotaError: too many came, or the tokens of the day are used up; says when to come back.
        """
        now = self._clock()
        self._roll(now)
        if self._tokens is not None and self._spent >= self._tokens:
            raise QuotaError(
                f"the {self._limits.tokens_per_day} tokens of a day are used up",
                do="Come back after midnight UTC, or ask the operator for more.",
                retry_after_s=max(1.0, (self._day + 1) * _DAY_S - now),
            )
        if self._requests is None:
            return
        rate = self._requests / _MINUTE_S
        self._left = min(float(self._requests), self._left + max(0.0, now - self._at) * rate)
        self._at = now
        if self._left < 1:
            raise QuotaError(
                f"more than {self._limits.requests_per_minute} requests a minute came",
                do="Send fewer, or ask the operator for more.",
                retry_after_s=(1 - self._left) / rate,
            )
        self._left -= 1

    def charge(self, tokens: int) -> None:
        """Count tokens that were read or written."""
        self._roll(self._clock())
        self._spent += tokens

    def _roll(self, now: float) -> None:
        if (day := now // _DAY_S) > self._day:
            self._day, self._spent = day, 0
