"""How whatever answers requests in this process is run until a signal comes, and how it ends without losing one."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol, TypeVar

from penjing.core.errors import ServingError

_LOG = logging.getLogger(__name__)
_LOOK_ALIVE_S = 0.5
_LOOK_EVERY_S = 0.02
_LINGER_S = 0.2  # how long late-comers are still told that it stops


class Running(Protocol):
    """A server, several, or a gateway in front of them."""

    @property
    def is_alive(self) -> bool:
        """Whether it answers requests."""

    def start(self) -> None:
        """Begin to answer. Returns at once."""

    def stop(self) -> None:
        """Finish requests in flight and end."""

    def hurry(self) -> None:
        """Let :meth:`stop` wait for nobody any more."""


Kind = TypeVar("Kind", bound=Running)


def run_until_told(running: Kind, *, on_start: Callable[[Kind], None] | None, broken: ServingError) -> None:
    """Run until SIGTERM or SIGINT; a second one cuts the wait short. To be called from the main thread.

    Args:
        running: made, not started.
        on_start: called once it answers, before models are ready.
        broken: raised when it has ended by itself.
    """
    told = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        _LOG.info("%s: finishing the requests in flight", signal.Signals(number).name)
        if told.is_set():
            running.hurry()
        told.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        running.start()
        if on_start is not None:
            on_start(running)
        while not told.wait(_LOOK_ALIVE_S):
            if not running.is_alive:
                running.stop()
                raise broken
        running.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_requests(in_flight: Callable[[], int], *, grace_s: float, hurried: threading.Event) -> None:
    """Wait until nothing is in flight, at most ``grace_s``, then a little for late-comers; not at all once hurried."""
    until = time.monotonic() + grace_s
    while in_flight() and time.monotonic() < until and not hurried.wait(_LOOK_EVERY_S):
        pass
    hurried.wait(_LINGER_S)
