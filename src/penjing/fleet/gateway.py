"""The gateway put together: replicas, policy, line, sockets; how it starts and how it stops.

Promises: a port in use or a recipe that cannot work is an error before anything is started; from the first moment the
gateway answers, /readyz with 503 until replicas are ready; when it stops no accepted request is lost: those in flight
are finished (within ``grace_s``), then the replicas it started are drained and end.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from penjing.core.errors import NotReadyError
from penjing.core.extras import require
from penjing.fleet.metrics import Metrics
from penjing.fleet.policies import policy_named
from penjing.fleet.probing import Prober
from penjing.fleet.processes import Process, processes_of
from penjing.fleet.proxy import Proxy
from penjing.fleet.recipe import GatewayRecipe, LocalReplicas
from penjing.fleet.replica import Replica
from penjing.fleet.seats import Seats
from penjing.fleet.vital import Vital
from penjing.fleet.wire.address import Address, address_at
from penjing.fleet.wire.pool import Pool
from penjing.serve.access import access_of
from penjing.serve.ports import listen, listen_unix, spelled
from penjing.serve.server import uvicorn_config
from penjing.serve.slow_clients import close_slow_clients
from penjing.serve.until_told import wait_for_requests

if TYPE_CHECKING:  # loaded only where a recipe asks for it
    from penjing.fleet.grpc_passing import GrpcListener

try:
    from uvloop import new_event_loop
except ImportError:  # Windows has none
    from asyncio import new_event_loop  # type: ignore[assignment]

_LOOK_EVERY_S = 0.02
_LEFT_BEHIND_S = 10.0


class Gateway:
    """See the module. Its port is taken when it is made; requests are answered from :meth:`start`.

    Args:
        recipe: what it stands in front of, and how.

    Attributes:
        replicas: those it stands in front of.
        grpc_address: where it listens for gRPC; None where it does not.

    Raises:
        ResourceError: a port cannot be had, or gRPC is not installed; or others than this machine can reach the
            gateway, and nothing says who may ask the servers that it starts.
        KeyFileError: their file of keys cannot be used.
        UsageError: a replica's address is none.
    """

    def __init__(self, recipe: GatewayRecipe) -> None:
        self._recipe = recipe
        _check_access(recipe)
        remote = [address_at(one.url) for one in recipe.remote]
        self._socket = listen_unix(recipe.uds) if recipe.uds else listen(recipe.host, recipe.port)
        self._folder = Path(tempfile.mkdtemp(prefix="penjing-"))
        started = processes_of(recipe, self._folder)
        self._processes = [process for process, _ in started]
        self.replicas = [
            *(self._replica(p.name, address_at(f"unix:{p.http}"), group.models, group.weight) for p, group in started),
            *(
                self._replica(one.name or one.url, address, one.models, one.weight)
                for one, address in zip(recipe.remote, remote, strict=True)
            ),
        ]
        self._policy, self._metrics = policy_named(recipe.policy), Metrics()
        self._seats = self._seats_at(self.replicas)
        self._vital = Vital(self.replicas, self._seats, self._metrics)
        self._proxy = Proxy(self._seats, recipe, self._metrics, vital=self._vital, replicas=self.replicas)
        self._grpc: GrpcListener | None = None
        self.grpc_address = self._free_for_grpc(started)
        self._http = uvicorn.Server(_uvicorn_config(self._proxy, recipe))
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._stopping = threading.Lock()
        self._hurried = threading.Event()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        if self._recipe.uds is not None:
            return f"unix:{self._recipe.uds}"
        return f"http://{spelled(self._recipe.host, self._socket.getsockname()[1])}"

    @property
    def pids(self) -> list[int]:
        """The processes it started that run now."""
        return [process.pid for process in self._processes if process.pid is not None]

    @property
    def is_alive(self) -> bool:
        """Whether it answers requests, and its replicas could be started at all."""
        return self._thread.is_alive() and not self._failed

    def start(self) -> None:
        """Start the replicas, and begin to answer. Returns at once."""
        self._thread.start()

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Block until every model has a replica that is ready, and every local replica is.

        Raises:
            NotReadyError: they are not within ``timeout_s``, or one cannot be started; says why.
        """
        until = time.monotonic() + timeout_s
        while why := self._why_not_ready():
            if time.monotonic() >= until or not self.is_alive:
                raise NotReadyError(f"not ready: {why}", do="Correct the cause and start again.")
            time.sleep(_LOOK_EVERY_S)

    def hurry(self) -> None:
        """Let :meth:`stop` wait for nobody any more."""
        self._hurried.set()

    def stop(self) -> None:
        """Finish requests in flight, end the replicas. Blocks at most twice ``grace_s`` and a little. Idempotent."""
        with self._stopping:
            if not self._thread.is_alive():
                self._release()
                return
            self._vital.is_draining = self._proxy.is_draining = True
            wait_for_requests(lambda: self._in_flight, grace_s=self._recipe.grace_s, hurried=self._hurried)
            self._http.should_exit = True
            self._thread.join()

    @property
    def _in_flight(self) -> int:
        return self._proxy.in_flight + (self._grpc.in_flight if self._grpc else 0)

    @property
    def _failed(self) -> bool:
        return any(process.has_failed for process in self._processes)

    def _why_not_ready(self) -> str:
        waiting = [r.name for r in self.replicas if r.restarts is not None and not r.fitness.is_ready]
        if self._failed:
            return "a replica ended before it was ready; its error is above"
        return f"{', '.join(waiting)}" or "; ".join(f"{k}: {why}" for k, why in self._vital.why_not_ready().items())

    def _seats_at(self, replicas: list[Replica]) -> Seats:
        recipe = self._recipe
        return Seats(replicas, self._policy, most_waiting=recipe.max_waiting, wait_s=recipe.max_wait_ms / 1000)

    def _free_for_grpc(self, started: list[tuple[Process, LocalReplicas]]) -> str | None:
        """Where gRPC will be spoken, proved free; and by whom of the replicas it is."""
        if self._recipe.grpc_port is None:
            return None
        require("grpc", extra="serve")
        places = [f"unix:{process.grpc}" for process, _ in started] + [one.grpc for one in self._recipe.remote]
        for replica, place in zip(self.replicas, places, strict=True):
            replica.grpc = place
        try:
            with listen(self._recipe.host, self._recipe.grpc_port) as probe:
                return spelled(*probe.getsockname()[:2])
        except BaseException:
            self._release()
            raise

    async def _listen_for_grpc(self) -> None:
        if self.grpc_address is None:
            return
        from penjing.fleet.grpc_passing import GrpcListener

        targets = {replica: replica.grpc for replica in self.replicas if replica.grpc is not None}
        seats = self._seats_at(list(targets))
        seats.beside, self._seats.beside = self._seats, seats
        self._grpc = GrpcListener(self.grpc_address, seats, targets, recipe=self._recipe, metrics=self._metrics)
        await self._grpc.start()

    def _replica(self, name: str, address: Address, models: tuple[str, ...] | None, weight: float) -> Replica:
        recipe = self._recipe
        pool = Pool(
            address,
            connect_within_s=recipe.connect_timeout_ms / 1000,
            idle_s=recipe.replica_idle_s,
            whole_bytes=recipe.whole_bytes,
        )
        replica = Replica(
            name,
            address,
            models=models,
            weight=weight,
            most_in_flight=recipe.max_in_flight,
            told=recipe.fitness,
            pool=pool,
        )
        replica.restarts = 0 if name.startswith("local-") else None
        return replica

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        recipe = self._recipe
        tasks = [
            close_slow_clients(self._http, header_timeout_s=recipe.header_timeout_s),
            *(Prober(replica, recipe.fitness, on_ready=self._seats.left).run() for replica in self.replicas),
            *(p.keep_running(r) for p, r in zip(self._processes, self.replicas, strict=False)),
        ]
        running = [asyncio.create_task(task) for task in tasks]
        try:
            await self._listen_for_grpc()
            await self._http.serve(sockets=[self._socket])
        finally:
            if self._grpc:
                await self._grpc.stop()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._end_replicas()
            self._release()

    async def _end_replicas(self) -> None:
        for replica in self.replicas:
            replica.gone("the gateway stops")
        for process in self._processes:
            process.tell_to_stop()
        within_s = (0 if self._hurried.is_set() else self._recipe.grace_s) + _LEFT_BEHIND_S
        await asyncio.gather(*(process.ended(within_s=within_s) for process in self._processes))

    def _release(self) -> None:
        self._socket.close()
        if self._recipe.uds is not None:
            self._recipe.uds.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def _check_access(recipe: GatewayRecipe) -> None:
    """The servers that are started listen to nobody but the gateway: who reaches that reaches them."""
    for group in recipe.local:
        changes = {"host": recipe.host, "uds": recipe.uds, "grpc_port": recipe.grpc_port}
        access_of(group.serve.model_copy(update=changes))


def _uvicorn_config(app: Proxy, recipe: GatewayRecipe) -> uvicorn.Config:
    # No date: the replica's is passed on.
    return uvicorn_config(
        app, keep_alive_s=recipe.keep_alive_s, max_connections=recipe.max_connections, date_header=False
    )
