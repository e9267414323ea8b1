"""Running a gateway: until a block of code ends, or until a signal comes."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from penjing.core.errors import ServingError
from penjing.fleet.gateway import Gateway
from penjing.fleet.recipe import GatewayRecipe

_LOG = logging.getLogger(__name__)
_LOOK_ALIVE_S = 0.5


@contextmanager
def running_gateway(recipe: GatewayRecipe, *, ready_within_s: float | None = 120.0) -> Iterator[Gateway]:
    """A gateway in a thread of this process, stopped with its replicas when the block ends.

    Args:
        recipe: what it stands in front of, and how.
        ready_within_s: wait so long for the replicas; None does not wait.

    Raises:
        ResourceError: the port cannot be had.
        NotReadyError: the replicas are not ready in time.
    """
    gateway = Gateway(recipe)
    gateway.start()
    try:
        if ready_within_s is not None:
            gateway.wait_until_ready(timeout_s=ready_within_s)
        yield gateway
    finally:
        gateway.stop()


def gateway(recipe: GatewayRecipe, *, on_start: Callable[[Gateway], None] | None = None) -> None:
    """Stand in front of replicas until SIGTERM or SIGINT; a second one cuts the wait short. From the main thread only.

    Args:
        recipe: what it stands in front of, and how.
        on_start: called once it answers, before replicas are ready.

    Raises:
        ResourceError: the port cannot be had.
        ServingError: it broke down, or a replica cannot be started.
    """
    told = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        _LOG.info("%s: finishing the requests in flight", signal.Signals(number).name)
        if told.is_set():
            running.hurry()
        told.set()

    running = Gateway(recipe)
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        running.start()
        if on_start is not None:
            on_start(running)
        while not told.wait(_LOOK_ALIVE_S):
            if not running.is_alive:
                running.stop()
                raise ServingError(
                    "the gateway or one of its replicas cannot run", do="See the error above, and start again."
                )
        running.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
