"""What access control adds to a request: the same server's site with and without it, in turns, and the check alone.

No socket and no engine: what they cost would only hide the difference. A file of a thousand keys is followed as the
server follows it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.core.files import write_atomically
from penjing.evaluate.intervals import quantile
from penjing.evaluate.speed import ratio_over_rounds
from penjing.security.access import Controlled
from penjing.security.keyring import Keyring
from penjing.security.keys import KeyFile, new_key
from penjing.security.scopes import Scope
from penjing.serve import StoreCatalogue
from penjing.serve.api.guard import Guard, RouteTable
from penjing.serve.api.http import Request
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.site import Site
from penjing.serve.api.tensorflow_serving.openapi import DESCRIPTION
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.serve.sight import PermittedModels
from penjing.store import Store
from result import SystemResult, finish

KEYS = 1000
OTHERS = [(b"host", b"server"), (b"accept", b"*/*"), (b"user-agent", b"bench"), (b"content-length", b"0")]
Ask = Callable[[], Awaitable[None]]


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--requests", type=int, default=2000, help="of each kind a round")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ways = _ways(Path(folder))
        times = asyncio.run(_in_turns(ways, rounds=told.rounds, requests=told.requests))
    base = np.median(times["the site without access control"], axis=1)
    systems = [
        SystemResult(
            name=name,
            ours=True,
            speed={
                "p50_us": quantile(found.ravel(), 0.5, unit="µs"),
                "p99_us": quantile(found.ravel(), 0.99, unit="µs"),
            },
            ratio=ratio_over_rounds(np.median(found, axis=1), base) if number else None,
        )
        for number, (name, found) in enumerate(times.items())
    ]
    finish(
        "access",
        f"Microseconds of one request that asks for the server's metadata, with one of {KEYS} keys:",
        config={"rounds": told.rounds, "requests": told.requests, "keys": KEYS},
        systems=systems,
        notes=(
            f"{told.rounds} rounds in turns of {told.requests} requests, one after another; time of the processor.",
            "The check alone is that of a prediction: route, credential, digest, scope, state of the file where due.",
        ),
    )


def _ways(folder: Path) -> dict[str, Ask]:
    recipe, file = ServeRecipe(poll_s=None), folder / "keys.json"
    made = [new_key(f"client {number}", [Scope.parse("m*:predict")]) for number in range(KEYS)]
    content = KeyFile(keys=tuple(one.key for one in made)).model_dump_json()  # one by one, each would be synced
    write_atomically(file, content.encode(), mode=0o600)
    access = Controlled(Keyring(file))
    models = Models(StoreCatalogue(Store(folder / "store")), recipe)
    planes = DataPlane(models, Metrics()), DataPlane(PermittedModels(models), Metrics(), is_guarded=True)
    limits: dict[str, Any] = {"max_body_bytes": 1 << 20, "request_timeout_ms": 10_000}
    sites = [
        Site(all_mounts(planes[0], recipe), **limits),
        Site(all_mounts(planes[1], recipe), access=access, **limits),
    ]
    headers = [*OTHERS, (b"authorization", f"Bearer {made[-1].text}".encode())]
    return {
        "the site without access control": _through(sites[0], headers),
        "the site with access control": _through(sites[1], headers),
        "the check alone": _check_alone(Guard(access), headers),
    }


def _through(site: Site, headers: list[tuple[bytes, bytes]]) -> Ask:
    scope = {"type": "http", "method": "GET", "path": "/v2", "query_string": b"", "headers": headers}

    async def ask() -> None:
        await site(dict(scope), _nothing, _expect_good)

    return ask


def _check_alone(guard: Guard, headers: list[tuple[bytes, bytes]]) -> Ask:
    path = "/v1/models/m:predict"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    request = Request(scope, _nothing, max_body_bytes=1, timeout_s=10)
    table = RouteTable(DESCRIPTION.routes, is_prefixed=False)

    async def ask() -> None:
        assert guard.admit(request, table)

    return ask


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _expect_good(message: Any) -> None:
    assert message.get("status", 200) == 200, message


async def _in_turns(ways: dict[str, Ask], *, rounds: int, requests: int) -> dict[str, np.ndarray]:
    """Microseconds of processor time (rounds, requests) of each way; the first round is not counted."""
    times = {name: np.zeros((rounds + 1, requests)) for name in ways}
    for number in range(rounds + 1):
        for name, ask in ways.items():
            for place in range(requests):
                began = time.thread_time_ns()
                await ask()
                times[name][number, place] = (time.thread_time_ns() - began) / 1000
    return {name: found[1:] for name, found in times.items()}


if __name__ == "__main__":
    main()
