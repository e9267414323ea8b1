"""One accepted request on its way through a lane.

Belongs to its event loop: only ``gone`` and ``taken_at`` are touched by worker threads. Promise:
its future is settled once, by whichever comes first: the last answer, a failure, the deadline.
"""

from __future__ import annotations

import asyncio
import time

import numpy as np

from penjing.core.errors import DeadlineError, ServingError
from penjing.serve.answers import Floats
from penjing.serve.queue import Permit


class Work:
    """See the module.

    Args:
        permit: the room it holds in the queue.
        loop: where its future lives.

    Attributes:
        future: outputs float32 (sequences, outputs), or the error.
        gone: nobody waits for the answer any more; workers skip it.
        taken_at: monotonic seconds when an engine first took it up; None until then.
        ran_at: when the last piece was done.
        fill: mean batch fill over its pieces.
        stages: how many of its sequences each stage of a cascade answered; empty of other engines.
    """

    __slots__ = (
        "_parts", "_untold", "accepted_at", "fill", "future", "gone", "loop", "permit", "ran_at",
        "stages", "taken_at",
    )  # fmt: skip

    def __init__(self, permit: Permit, *, loop: asyncio.AbstractEventLoop) -> None:
        self.permit = permit
        self.loop = loop
        self.future: asyncio.Future[Floats] = loop.create_future()
        self.gone = False
        self.accepted_at = time.monotonic()
        self.taken_at: float | None = None
        self.ran_at = self.accepted_at
        self.fill = 0.0
        self.stages: tuple[int, ...] = ()
        self._parts: list[Floats | None] = []
        self._untold = 0

    def expect(self, pieces: int) -> None:
        """Say of how many pieces the answer will consist."""
        self._parts = [None] * pieces
        self._untold = pieces

    def deliver(
        self, number: int, outputs: Floats, *, fill: float, ran_at: float, stages: tuple[int, ...] = ()
    ) -> None:
        """Take the answer of one piece; the last one settles the future."""
        if self.future.done():
            return
        self._parts[number] = outputs
        self._untold -= 1
        self.fill += fill / len(self._parts)
        self.ran_at = max(self.ran_at, ran_at)
        self.stages = tuple(map(sum, zip(self.stages, stages, strict=True))) if self.stages else stages
        if not self._untold:
            parts = [part for part in self._parts if part is not None]
            self.future.set_result(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def fail(self, error: ServingError) -> None:
        """Settle the future with an error, unless it is settled."""
        self.gone = True
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self) -> None:
        """The deadline has come."""
        waited_ms = (time.monotonic() - self.accepted_at) * 1000
        where = "in the queue" if self.taken_at is None else "for the engine"
        self.fail(DeadlineError(f"the deadline passed after {waited_ms:.0f} ms {where}", waiting=self.taken_at is None))
