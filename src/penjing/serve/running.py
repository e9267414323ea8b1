"""Running a server: until a block of code ends, or until a signal comes.

Promise: on SIGTERM and SIGINT no accepted request is lost, as :class:`penjing.serve.server.Server` stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penjing.core.errors import ServingError, UsageError
from penjing.serve.api.mounts import MoreMounts
from penjing.serve.catalogue import Catalogue
from penjing.serve.loading import EngineOpener, open_bundle_engine
from penjing.serve.recipe import ServeRecipe
from penjing.serve.server import Server
from penjing.serve.until_told import run_until_told
from penjing.serve.workers import Workers


@contextmanager
def running_server(
    catalogue: Catalogue,
    recipe: ServeRecipe,
    *,
    open_with: EngineOpener = open_bundle_engine,
    ready_within_s: float | None = 120.0,
    also: MoreMounts | None = None,
) -> Iterator[Server]:
    """A server in threads of this process, stopped when the block ends.

    Args:
        catalogue: what there is to serve.
        recipe: how to serve it.
        open_with: opens a bundle's engine; tests hand in their own.
        ready_within_s: wait so long for the models; None does not wait.
        also: further dialects.

    Raises:
        ResourceError: the port cannot be had.
        NotReadyError: a model cannot be loaded.
        UsageError: the recipe wants several workers, which are processes of their own.
    """
    if recipe.workers > 1:
        raise UsageError(
            f"{recipe.workers} workers are processes, not threads of this one",
            expected="workers: 1",
            do="Call penjing.serve.serve, or use penjing.serve.Workers.",
        )
    server = Server(catalogue, recipe, open_with=open_with, also=also)
    server.start()
    try:
        if ready_within_s is not None:
            server.wait_until_ready(timeout_s=ready_within_s)
        yield server
    finally:
        server.stop()


def serve(
    catalogue: Catalogue,
    recipe: ServeRecipe,
    *,
    open_with: EngineOpener = open_bundle_engine,
    on_start: Callable[[Server | Workers], None] | None = None,
    also: MoreMounts | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one cuts the wait short. To be called from the main thread.

    Args:
        catalogue: what there is to serve.
        recipe: how to serve it.
        open_with: opens a bundle's engine; tests hand in their own. For one worker only.
        on_start: called once the server answers, before the models are ready.
        also: further dialects. For one worker only.

    Raises:
        ResourceError: the port cannot be had.
        ServingError: the server broke down.
    """
    server = _made(catalogue, recipe, open_with=open_with, also=also)
    broken = ServingError("the server has ended by itself", do="See the log, and start again.")
    run_until_told(server, on_start=on_start, broken=broken)


def _made(
    catalogue: Catalogue, recipe: ServeRecipe, *, open_with: EngineOpener, also: MoreMounts | None
) -> Server | Workers:
    """One server in this process, or several workers, which open engines by themselves and know no further dialects."""
    if recipe.workers == 1:
        return Server(catalogue, recipe, open_with=open_with, also=also)
    return Workers(catalogue, recipe)
