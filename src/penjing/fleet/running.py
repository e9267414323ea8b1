"""Running a gateway: until a block of code ends, or until a signal comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penjing.core.errors import ServingError
from penjing.fleet.gateway import Gateway
from penjing.fleet.recipe import GatewayRecipe
from penjing.serve.until_told import run_until_told


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
    broken = ServingError("the gateway or one of its replicas cannot run", do="See the error above, and start again.")
    run_until_told(Gateway(recipe), on_start=on_start, broken=broken)
