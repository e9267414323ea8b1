"""All dialects of a server without a socket: for the many requests of the property tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import uvloop

from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.site import Site
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store
from serve.doubles import POISON, FakeEngine, opens, publish

Ask = Callable[..., tuple[int, bytes]]


class Harmless(FakeEngine):
    """Finds nothing poisonous or slow."""

    def run(self, batch):
        batch.input_ids[batch.input_ids <= POISON + 1] = 0
        return super().run(batch)


@contextmanager
def asking_site(folder: Path) -> Iterator[Ask]:
    """A function from method, target, body and headers to status and body of the reply; the model is ``m``."""
    store, recipe = Store(folder), ServeRecipe(poll_s=None)
    publish(store)
    models = Models(StoreCatalogue(store), recipe, open_with=opens(Harmless(instances=1)))
    models.reconcile()
    plane = DataPlane(models, Metrics())
    site = Site(all_mounts(plane, recipe), max_body_bytes=1 << 20, request_timeout_ms=10_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda *said, headers=(): runner.run(sent(site, *said, headers=headers))
    plane.close()


async def sent(site, method, target, body=b"", *, headers=()):
    """Status and body of a reply, the target given as a client sends it."""
    path, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(),
             "query_string": query.encode(), "headers": list(headers)}  # fmt: skip
    said = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        said.append(message)

    await site(scope, receive, send)
    return said[0]["status"], b"".join(one.get("body", b"") for one in said[1:])
