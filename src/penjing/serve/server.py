"""The server put together: models, data plane, dialects, sockets; how it starts and how it stops.

Promises: a port in use is an error before anything is loaded; from the first moment the server
answers, /readyz with 503 until every model is loaded; when it stops no accepted request is lost: those in
flight are finished (within ``grace_s``), later ones are told to go elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn

from penjing.core.errors import NotReadyError
from penjing.security.access import Access, Trusting
from penjing.serve.access import access_of
from penjing.serve.api.mounts import MoreMounts, all_mounts
from penjing.serve.api.site import Mount, Site
from penjing.serve.catalogue import Catalogue
from penjing.serve.grpc_port import open_listener
from penjing.serve.loading import EngineOpener, open_bundle_engine
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.ports import listen, listen_unix, spelled
from penjing.serve.recipe import ServeRecipe
from penjing.serve.siblings import Share
from penjing.serve.sight import KnownModels, PermittedModels
from penjing.serve.slow_clients import close_slow_clients
from penjing.serve.tls import Certificates
from penjing.serve.until_told import wait_for_requests
from penjing.serve.watching import Watching

if TYPE_CHECKING:  # loaded only where a recipe asks for it
    from penjing.serve.grpc.listener import Listener

try:
    from uvloop import new_event_loop
except ImportError:  # Windows has none
    from asyncio import new_event_loop  # type: ignore[assignment]

_LINGER_S = 0.2  # how long a connection that was just taken may be on its way to the loop
_UNASKED_S = 2.0  # how long a connection that was taken may be without a request
_LOOK_EVERY_S = 0.02

T = TypeVar("T")


class Server:
    """One serving process. Its ports are taken when it is made; requests are answered from :meth:`start`.

    Args:
        catalogue: what there is to serve.
        recipe: how to serve it.
        open_with: opens a bundle's engine; tests hand in their own.
        also: further dialects.
        share: what it has in common with other workers; it then takes connections only from :meth:`accept` on.

    Attributes:
        port: for HTTP; 0 on a Unix socket.
        url: where it listens for HTTP; ``unix:`` and a path on a Unix socket.
        grpc_address: where it listens for gRPC, as a client wants it; None where it does not.
        plane: for predictions without HTTP.

    Raises:
        ResourceError: a port or certificate cannot be had, or gRPC is not installed.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        recipe: ServeRecipe,
        *,
        open_with: EngineOpener = open_bundle_engine,
        share: Share | None = None,
        also: MoreMounts | None = None,
    ) -> None:
        self._recipe, self._share = recipe, share
        self._access = access_of(recipe)  # before a port is taken
        self._certificates, watching = Certificates.of(recipe), Watching(recipe)
        self._socket = (
            share.http if share else listen_unix(recipe.uds) if recipe.uds else listen(recipe.host, recipe.port)
        )
        self.port: int = 0 if recipe.uds else self._socket.getsockname()[1]
        self.url = url_of(recipe, self.port)
        models = Models(catalogue, recipe, open_with=open_with)
        self.plane = _plane_of(PermittedModels(models) if self._access else models, recipe, watching)
        mounts = all_mounts(self.plane, recipe, siblings=share.siblings if share else None, also=also)
        self._site = _site_of(mounts, recipe, self.plane.watching, access=self._access)
        self._among_workers = _site_of(mounts, recipe, None, access=Trusting())
        self._http = uvicorn.Server(_uvicorn_config(self._site, recipe, self._certificates))
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self._grpc: Listener | None = None
        self.grpc_address = self._listen_for_grpc()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._may_accept = threading.Event()
        self._stopping = threading.Lock()
        self._hurried = threading.Event()

    def start(self) -> None:
        """Begin to load models and to answer. Returns at once."""
        self.plane.models.start()
        self._thread.start()

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Block until every model is loaded and warm.

        Raises:
            NotReadyError: they are not within ``timeout_s``, or one cannot be loaded; says why.
        """
        until = time.monotonic() + timeout_s
        while reasons := self.plane.models.why_not_ready():
            failed = self.plane.models.has_given_up()
            if failed or time.monotonic() >= until:
                said = "; ".join(f"{name or 'server'}: {why}" for name, why in reasons.items())
                raise NotReadyError(f"not ready: {said}", do="Correct the cause and start again.")
            time.sleep(_LOOK_EVERY_S)

    @property
    def is_alive(self) -> bool:
        """Whether it answers requests."""
        return self._thread.is_alive()

    def accept(self) -> None:
        """Take connections, as one of several workers."""
        self._may_accept.set()

    def hurry(self) -> None:
        """Let :meth:`stop` wait for nobody any more."""
        self._hurried.set()

    def stop(self) -> None:
        """Finish requests in flight, refuse new ones, unload. Blocks at most ``grace_s`` and a little. Idempotent."""
        with self._stopping:
            if not self._thread.is_alive():
                self._release()
                return
            if self._share:
                self._leave_to_others()
            self.plane.is_draining = self._site.is_draining = True
            wait_for_requests(lambda: self._in_flight, grace_s=self._recipe.grace_s, hurried=self._hurried)
            self._http.should_exit = True
            self._thread.join()
            self.plane.close()

    @property
    def _in_flight(self) -> int:
        return self._site.in_flight + (self._grpc.in_flight if self._grpc else 0)

    def _listen_for_grpc(self) -> str | None:
        if not self._recipe.speaks_grpc or self._share:
            return None
        try:
            self._grpc = _elsewhere(self._runner, self._open_listener())
        except BaseException:
            self._release()
            raise
        return self._grpc.address

    def _open_listener(self, *, is_shared: bool = False) -> Coroutine[Any, Any, Listener]:
        return open_listener(self.plane, self._recipe, self._certificates, is_shared=is_shared, access=self._access)

    def _release(self) -> None:
        """Give the ports back, of a server that does not run."""
        self._close_socket()
        if self._grpc:
            _elsewhere(self._runner, self._grpc.stop())
            self._grpc = None
        self._runner.close()

    def _close_socket(self) -> None:
        self._socket.close()
        if self._recipe.uds is not None and not self._share:
            self._recipe.uds.unlink(missing_ok=True)

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        guards = [asyncio.create_task(close_slow_clients(self._http, header_timeout_s=self._recipe.header_timeout_s))]
        if self._certificates:
            guards.append(asyncio.create_task(self._certificates.follow()))
        try:
            if self._share:
                guards.append(asyncio.create_task(self._take_part(self._share)))
                await self._until_told()
            if self._grpc:
                await self._grpc.start()
            await self._http.serve(sockets=[self._socket])
        finally:
            for guard in guards:
                guard.cancel()
            self._close_socket()
            if self._grpc:
                await self._grpc.stop()
                self._grpc = None

    def _leave_to_others(self) -> None:
        """Leave new connections to the other workers, and answer those that were taken before as ever."""
        self._site.is_draining = True  # answers close their connections
        left = asyncio.run_coroutine_threadsafe(self._leave_port(), self._runner.get_loop())
        with suppress(TimeoutError):
            left.result(self._recipe.grace_s)
        self._hurried.wait(_LINGER_S)
        until = time.monotonic() + _UNASKED_S
        while self._has_unasked and time.monotonic() < until and not self._hurried.wait(_LOOK_EVERY_S):
            pass

    @property
    def _has_unasked(self) -> bool:
        """Whether somebody has been taken in and has not asked anything yet."""
        return any(getattr(one, "cycle", None) is None for one in tuple(self._http.server_state.connections))

    async def _leave_port(self) -> None:
        self._may_accept.clear()
        for server in getattr(self._http, "servers", ()):  # there are none before it has started
            server.close()

    async def _take_part(self, share: Share) -> None:
        """Answer the other workers, and whoever watches them, from the first moment on."""
        config = _uvicorn_config(self._among_workers, self._recipe, None)
        await uvicorn.Server(config).serve(sockets=[share.control])

    async def _until_told(self) -> None:
        while not self._may_accept.is_set() and not self._http.should_exit:
            await asyncio.sleep(_LOOK_EVERY_S)
        if self._recipe.grpc_port is not None:
            self._grpc = await self._open_listener(is_shared=True)


def _elsewhere(runner: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
    """Run something on an event loop that stands still, from a thread that may have one of its own."""
    with ThreadPoolExecutor(max_workers=1) as helper:
        return helper.submit(runner.run, work).result()


def _plane_of(models: KnownModels, recipe: ServeRecipe, watching: Watching) -> DataPlane:
    return DataPlane(
        models,
        Metrics(),
        long_text=recipe.long_text,
        writing_timeout_s=recipe.writing_timeout_ms / 1000,
        max_new_tokens=recipe.max_new_tokens,
        watching=watching,
        is_guarded=isinstance(models, PermittedModels),
    )


def _site_of(mounts: Sequence[Mount], recipe: ServeRecipe, watching: Watching | None, *, access: Access | None) -> Site:
    return Site(
        mounts,
        max_body_bytes=recipe.max_body_bytes,
        request_timeout_ms=recipe.request_timeout_ms,
        cors=recipe.cors,
        watching=watching,
        access=access,
    )


def url_of(recipe: ServeRecipe, port: int) -> str:
    """Where a client finds a server."""
    if recipe.uds is not None:
        return f"unix:{recipe.uds}"
    return f"{'https' if recipe.tls_cert else 'http'}://{spelled(recipe.host, port)}"


def _uvicorn_config(site: Site, recipe: ServeRecipe, certificates: Certificates | None) -> uvicorn.Config:
    context = (lambda _config, _usual: certificates.context) if certificates else None
    return uvicorn_config(
        site, keep_alive_s=recipe.keep_alive_s, max_connections=recipe.max_connections, ssl_context_factory=context
    )


def uvicorn_config(app: Any, *, keep_alive_s: int, max_connections: int | None, **more: Any) -> uvicorn.Config:
    """Of an application that keeps its own log and names no server; ``more`` goes to uvicorn as it is."""
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=1,
        limit_concurrency=max_connections,
        **more,
    )
