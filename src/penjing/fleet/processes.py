"""The replicas that the gateway starts itself: processes, watched, and started anew when they die.

Promises: none outlives the gateway, whatever ends it (see :mod:`penjing.fleet.tied`); one that dies young again and
again is started at longer and longer intervals; a stop drains them all. To be used on one event loop, in one thread:
the kernel ties a process to the thread that started it.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from penjing.core.files import write_atomically
from penjing.core.machine import usable_cores
from penjing.fleet.recipe import GatewayRecipe, LocalReplicas
from penjing.fleet.replica import Replica

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.05
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_STEADY_S = 30.0  # one that lived so long died of something new
_LEFT_BEHIND_S = 10.0


class Process:
    """One of them.

    Args:
        name: the replica's.
        told: how it serves.
        folder: private to this user; its sockets and its recipe lie there.
        instances: engine instances, unless the recipe says.
        with_grpc: listen for gRPC as well.

    Attributes:
        http, grpc: the Unix sockets it listens on; None where it does not.
        has_failed: it ended before it was ever ready.
    """

    def __init__(self, name: str, told: LocalReplicas, *, folder: Path, instances: int, with_grpc: bool) -> None:
        self.name = name
        self.http = folder / f"{name}.sock"
        self.grpc = folder / f"{name}.grpc" if with_grpc else None
        changes = {"uds": self.http, "grpc_uds": self.grpc, "models": told.models, "port": 0}
        recipe = told.serve.model_copy(update={**changes, "instances": told.serve.instances or instances})
        self._recipe = folder / f"{name}.yaml"
        write_atomically(self._recipe, recipe.model_dump_json().encode())  # all JSON is YAML
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "penjing.fleet.tied",
            str(told.store),
            "--recipe",
            str(self._recipe),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._deaths = 0
        self.has_failed = False

    async def keep_running(self, replica: Replica) -> None:
        """Start it, and again when it ends, until cancelled."""
        replica.restarts = 0
        while True:
            self._start()
            was_ready = False
            while (status := self._status()) is None:
                was_ready = was_ready or replica.fitness.is_ready
                await asyncio.sleep(_LOOK_EVERY_S)
            _LOG.error("replica %s (process %s) ended with status %s", self.name, self.pid, status)
            replica.gone("the replica's process ended")
            if not was_ready and not replica.restarts:
                self.has_failed = True
            self._deaths = 0 if time.monotonic() - self._began > _STEADY_S else self._deaths + 1
            await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2 ** (self._deaths - 1)) if self._deaths else 0)
            replica.restarts += 1

    @property
    def pid(self) -> int | None:
        """Its number, as long as it runs."""
        return self._process.pid if self._process else None

    def tell_to_stop(self) -> None:
        """Let it drain and end."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    async def ended(self, *, within_s: float) -> None:
        """Wait for its end, and bring that about in the end."""
        until = time.monotonic() + within_s
        while self._process and self._status() is None:
            if time.monotonic() >= until:
                _LOG.error("replica %s (process %s) did not end and is killed", self.name, self.pid)
                self._process.kill()
                self._process.wait()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _status(self) -> int | None:
        return self._process.poll() if self._process else None

    def _start(self) -> None:
        if self._process:
            self.tell_to_stop()
        self._began = time.monotonic()
        # A session of its own: Ctrl-C is for the gateway, which then tells all.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )


def processes_of(recipe: GatewayRecipe, folder: Path) -> list[tuple[Process, LocalReplicas]]:
    """The processes that a recipe asks for, not started yet."""
    count = sum(group.replicas for group in recipe.local)
    instances = max(1, usable_cores() // max(1, count))
    with_grpc = recipe.grpc_port is not None
    numbered = [group for group in recipe.local for _ in range(group.replicas)]
    return [
        (Process(f"local-{number}", group, folder=folder, instances=instances, with_grpc=with_grpc), group)
        for number, group in enumerate(numbered)
    ]
