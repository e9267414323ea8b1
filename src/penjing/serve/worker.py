"""``python -m penjing.serve.worker``: one of the workers of a server. Started by :mod:`penjing.serve.workers` only.

Its first line of input is JSON: what to serve, and on what. It says ``up`` when it can be asked, and ``settled``
when its models are loaded or given up; it takes connections from the line ``accept`` on. On ``stop``, on
SIGTERM, or when whoever started it has gone, it drains and ends; ``hurry`` cuts that short.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from penjing.core.errors import PenjingError
from penjing.serve.catalogue import catalogue_at
from penjing.serve.ports import listen_unix
from penjing.serve.recipe import ServeRecipe
from penjing.serve.server import Server
from penjing.serve.siblings import Share, Siblings

_LOOK_EVERY_S = 0.05


def main() -> int:
    """Run a worker; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    lines = iter(sys.stdin.readline, "")
    try:
        server = _server(json.loads(next(lines)))
    except PenjingError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    told = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, stop)
    server.start()
    _say("up")
    threading.Thread(target=_listen, args=(lines, server, told), daemon=True).start()
    is_settled = False
    while not told.wait(_LOOK_EVERY_S):
        if not server.is_alive:
            return 1
        if not is_settled and (not server.plane.models.why_not_ready() or server.plane.models.has_given_up()):
            is_settled = True
            _say("settled")
    server.stop()
    return 0


def _server(told: dict[str, Any]) -> Server:
    siblings = Siblings(told["number"], tuple(map(Path, told["controls"])))
    share = Share(socket.socket(fileno=told["http"]), listen_unix(siblings.controls[siblings.number]), siblings)
    recipe = ServeRecipe.model_validate(told["recipe"])
    return Server(catalogue_at(told["catalogue"]), recipe, share=share)


def _listen(lines: Iterator[str], server: Server, told: threading.Event) -> None:
    for line in lines:
        if line.strip() == "accept":
            server.accept()
        elif line.strip() == "hurry":
            server.hurry()
        elif line.strip() == "stop":
            told.set()
    told.set()  # whoever started us has gone


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
