"""Whatever is asked, however it is spelt: without a right nothing comes back that a right would be needed for."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.inprocess import Harmless, sent
from penjing.security.access import Controlled
from penjing.security.key_file import add_key
from penjing.security.keyring import Keyring
from penjing.security.keys import new_key
from penjing.security.scopes import Scope
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.site import Site
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.serve.sight import PermittedModels
from penjing.store.store import Store
from serve.admitted import routes
from serve.doubles import opens, publish

OPEN = {place.path for place in routes() if place.need.verb is None} | {"/kserve"}
PARTS = [
    "v1",
    "v2",
    "models",
    "m",
    "%6d",
    "M",
    "..",
    ".",
    "health",
    "live",
    "ready",
    "readyz",
    "healthz",
    "metrics",
    "repository",
    "index",
    "load",
    "infer",
    "generate",
    "m:predict",
    "m:classify",
    "stats",
    "config",
    "metadata",
    "versions",
    "1",
    "labels",
    "tfs",
    "oip",
    "tei",
    "kserve",
    "openai",
    "predict",
    "info",
    "completions",
    "chat",
    "openapi.json",
    "monitoring",
    "prometheus",
    "%2e%2e",
    "%2f",
    "m%2f",
    "%00",
    "V1",
    "Models",
]
METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "get"]
BODIES = [b"", b"{}", b'{"instances": ["w1"]}', b'{"inputs": "w1"}', b'{"model": "m", "input": "a", "prompt": "a"}',
          b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["w1"]}]}']  # fmt: skip
RANDOM = st.one_of(
    st.lists(st.sampled_from([*PARTS, ""]), max_size=7).map("/".join).map(lambda path: f"/{path}"),
    st.text(max_size=30).map(lambda path: "/" + quote(path)),
    st.sampled_from([place.target.partition("?")[0] for place in routes()]),
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    store, recipe = Store(folder / "store"), ServeRecipe(poll_s=None)
    publish(store)
    models = Models(StoreCatalogue(store), recipe, open_with=opens(Harmless(instances=1)))
    models.reconcile()
    keys = {scopes: new_key(scopes, [Scope.parse(scopes)]) for scopes in ("*:feedback", "other:admin")}
    for made in keys.values():
        add_key(folder / "keys.json", made)
    plane = DataPlane(PermittedModels(models), Metrics(), is_guarded=True)
    access = Controlled(Keyring(folder / "keys.json"))
    site = Site(all_mounts(plane, recipe), max_body_bytes=1 << 20, request_timeout_ms=10_000, access=access)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda method, target, body, scopes=None: runner.run(
            sent(site, method, target, body, headers=[(b"x-api-key", keys[scopes].text.encode())] if scopes else ())
        )
    models.close()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(METHODS), RANDOM, st.sampled_from(["", "?model=m", "?own"]), st.sampled_from(BODIES))
def test_strangers_and_those_without_a_right_get_nothing(ask, method, path, query, body):
    for scopes in (None, "*:feedback", "other:admin"):
        status, said = ask(method, path + query, body, scopes)
        if path in OPEN or (scopes == "other:admin" and status < 400):
            assert b'"m"' not in said
        else:
            assert status in range(400, 600), (scopes, said)
        assert status != 500, said
