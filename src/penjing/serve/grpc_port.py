"""Opening a gRPC port. Nothing of gRPC is loaded before one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.core.extras import require
from penjing.security.access import Access
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.serve.tls import Certificates

if TYPE_CHECKING:
    from penjing.serve.grpc.listener import Listener


async def open_listener(
    plane: DataPlane,
    recipe: ServeRecipe,
    certificates: Certificates | None,
    *,
    is_shared: bool = False,
    access: Access | None = None,
) -> Listener:
    """A gRPC server that listens and does not answer yet, on the running event loop.

    Raises:
        ResourceError: the port cannot be had, or gRPC is not installed.
    """
    for package in ("grpc", "google.protobuf"):
        require(package, extra="serve")
    from penjing.serve.grpc.listener import Listener

    return Listener(plane, recipe, certificates, is_shared=is_shared, access=access)
