"""Several worker processes on one port, watched, and replaced when they die.

Promises: a port in use is an error before anything is started; a request is never given to a worker whose models
are not loaded, once one worker has loaded them; while every worker is dead, connections wait for the next one;
a stop drains them all; none outlives this process, whatever ends it.

Trade: each worker loads its own copy of the models and has its own queue, so that ``max_queue_tokens`` and
``max_connections`` count for each. HTTP connections are taken from one queue by whoever is free; gRPC's are spread
by the kernel.

Source: socket(7), SO_REUSEPORT.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from penjing.core.errors import NotReadyError, ResourceError
from penjing.core.machine import usable_cores
from penjing.serve.access import access_of
from penjing.serve.catalogue import Catalogue, address_of
from penjing.serve.ports import listen, listen_unix, reserve, spelled
from penjing.serve.recipe import ServeRecipe
from penjing.serve.server import url_of
from penjing.serve.siblings import fetch
from penjing.serve.tls import Certificates

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_STEADY_S = 30.0  # a worker that lived so long died of something new
_LEFT_BEHIND_S = 10.0


class _Worker:
    """One worker process, and how its predecessors of the same number fared."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[str] | None = None
        self.is_up = self.is_settled = self.is_accepting = False
        self.deaths = 0
        self.began = self.next_at = 0.0

    def start(self, told: dict[str, Any], *, http: socket.socket) -> None:
        self.is_up = self.is_settled = self.is_accepting = False
        self.began = time.monotonic()
        # A session of its own: Ctrl-C is for the process that watches, which then tells all.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "penjing.serve.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(http.fileno(),),
            start_new_session=True,
        )
        threading.Thread(target=self._hear, args=(self.process,), daemon=True).start()
        self.tell(json.dumps(told))

    def tell(self, line: str) -> None:
        try:
            if self.process and self.process.stdin:
                self.process.stdin.write(f"{line}\n")
                self.process.stdin.flush()
        except OSError:
            _LOG.debug("worker %d has gone before it was told %r", self.number, line[:20])

    def died(self) -> None:
        """Note when to start the next one: at once, and the later the more of them die young."""
        self.deaths = 0 if time.monotonic() - self.began > _STEADY_S else self.deaths + 1
        self.next_at = time.monotonic() + min(_LONGEST_PAUSE_S, _PAUSE_S * 2**self.deaths)
        self.end()
        self.process = None

    def end(self) -> None:
        """Close what led to a process that has ended."""
        if self.process and self.process.stdin:
            with suppress(OSError):  # what it was told last was never read
                self.process.stdin.close()

    def _hear(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as said:
            for line in said:
                if process is self.process:
                    self.is_up = True
                    self.is_settled = self.is_settled or line.strip() == "settled"


class Workers:
    """See the module. Its ports are taken when it is made; requests are answered from :meth:`start`.

    Args:
        catalogue: a store's, or one of plain directories.
        recipe: with ``workers`` above 1.

    Attributes:
        url: where they listen for HTTP; ``unix:`` and a path on a Unix socket.
        grpc_address: where they listen for gRPC; None where they do not.
        restarts: how many workers have been replaced.

    Raises:
        ResourceError: a port or certificate cannot be had.
        UsageError: workers cannot be told how to open such a catalogue.
    """

    def __init__(self, catalogue: Catalogue, recipe: ServeRecipe) -> None:
        access_of(recipe)  # whose errors are for now, not for the workers
        Certificates.of(recipe)
        self._recipe, self._address = recipe, address_of(catalogue)
        self._socket = listen_unix(recipe.uds) if recipe.uds else listen(recipe.host, recipe.port)
        self.port: int = 0 if recipe.uds else self._socket.getsockname()[1]
        self.url = url_of(recipe, self.port)
        self._reserved = self._reserve()
        self.grpc_address = None if self._reserved is None else spelled(*self._reserved.getsockname()[:2])
        self._folder = Path(tempfile.mkdtemp(prefix="penjing-"))
        self._controls = [str(self._folder / f"{number}.sock") for number in range(recipe.workers)]
        self._workers = [_Worker(number) for number in range(recipe.workers)]
        self._is_open = False
        self._failed = threading.Event()
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_running, name="watch", daemon=True)
        self.restarts = 0

    def start(self) -> None:
        """Start the workers. Returns at once."""
        for worker in self._workers:
            self._start(worker)
        self._watch.start()

    def pids(self) -> list[int]:
        """Of the workers that live, by number."""
        return [worker.process.pid for worker in self._workers if worker.process]

    def wait_until_ready(self, *, timeout_s: float) -> None:
        """Block until every worker has every model loaded and warm.

        Raises:
            NotReadyError: they have not within ``timeout_s``, or one cannot load a model; says why.
        """
        until = time.monotonic() + timeout_s
        while not all(worker.is_settled and worker.is_accepting for worker in self._workers):
            if time.monotonic() >= until or self._failed.is_set():
                raise NotReadyError("not every worker is ready", do="See the log, and ask /readyz.")
            time.sleep(_LOOK_EVERY_S)
        for control in self._controls:
            status, body = asyncio.run(fetch(Path(control), "/readyz"))
            if status != 200:
                raise NotReadyError(f"not ready: {body.decode()}", do="Correct the cause and start again.")

    @property
    def is_alive(self) -> bool:
        """Whether the workers are watched, and could be started at all."""
        return self._watch.is_alive() and not self._failed.is_set()

    def hurry(self) -> None:
        """Let :meth:`stop` wait for nobody any more."""
        for worker in self._workers:
            worker.tell("hurry")

    def stop(self) -> None:
        """Let every worker finish its requests and end. Blocks at most ``grace_s`` and a little. Idempotent."""
        self._stopping.set()
        if self._watch.is_alive():
            self._watch.join()
        processes = [worker.process for worker in self._workers if worker.process]
        for worker in self._workers:
            worker.tell("stop")
        until = time.monotonic() + self._recipe.grace_s + _LEFT_BEHIND_S
        for process in processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _LOG.error("worker process %d did not end and is killed", process.pid)
                process.kill()
                process.wait()
        for worker in self._workers:
            worker.end()
        self._release()

    def _release(self) -> None:
        self._socket.close()
        if self._recipe.uds is not None:
            self._recipe.uds.unlink(missing_ok=True)
        if self._reserved is not None:
            self._reserved.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reserve(self) -> socket.socket | None:
        if self._recipe.grpc_port is None:
            return None
        try:
            return reserve(self._recipe.host, self._recipe.grpc_port)
        except ResourceError:
            self._socket.close()
            raise

    def _start(self, worker: _Worker) -> None:
        changes = {"instances": self._instances(worker.number)}
        if self._reserved is not None:
            changes["grpc_port"] = self._reserved.getsockname()[1]
        told = {
            "catalogue": self._address,
            "recipe": self._recipe.model_copy(update=changes).model_dump(mode="json"),
            "http": self._socket.fileno(),
            "number": worker.number,
            "controls": self._controls,
        }
        worker.start(told, http=self._socket)

    def _instances(self, number: int) -> int:
        """The worker's share of the cores, unless the recipe says otherwise."""
        cores, workers = usable_cores(), self._recipe.workers
        return self._recipe.instances or max(1, cores // workers + (number < cores % workers))

    def _keep_running(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S):
            for worker in self._workers:
                self._look_at(worker)

    def _look_at(self, worker: _Worker) -> None:
        if worker.process is None:
            if time.monotonic() >= worker.next_at:
                self.restarts += 1
                self._start(worker)
            return
        status = worker.process.poll()
        if status is not None:
            _LOG.error("worker %d (process %d) ended with status %d", worker.number, worker.process.pid, status)
            if not worker.is_up and not self._is_open:
                self._failed.set()  # it never came up: its successors would not either
            worker.died()
            return
        self._is_open = self._is_open or (worker.number == 0 and worker.is_settled)
        # Until models are loaded somewhere, the first worker tells callers so; no other takes their requests.
        is_host = worker.number == 0 and not self._is_open
        if not worker.is_accepting and worker.is_up and (is_host or (self._is_open and worker.is_settled)):
            worker.is_accepting = True
            worker.tell("accept")
