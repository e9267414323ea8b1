"""Whatever is sent, the answer is one JSON object and never a fault of the server's own."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.tensorflow_serving_cases import CASES
from penjing.serve.api.site import Site
from penjing.serve.api.tensorflow_serving import TensorFlowServing
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store
from serve.doubles import POISON, WORDS, FakeEngine, opens, publish

SENT = [case.sent.encode() if isinstance(case.sent, str) else case.sent for case in CASES if case.method == "POST"]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Harmless(FakeEngine):
    """Finds nothing poisonous or slow."""

    def run(self, batch):
        batch.input_ids[batch.input_ids <= POISON + 1] = 0
        return super().run(batch)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store)
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None), open_with=opens(Harmless(instances=1)))
    models.reconcile()
    plane = DataPlane(models, Metrics())
    site = Site([TensorFlowServing(plane)], max_body_bytes=1 << 20, request_timeout_ms=10_000)

    async def one(path, body):
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        said = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            said.append(message)

        await site(scope, receive, send)
        return said[0]["status"], said[1]["body"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda body, call="predict": runner.run(one(f"/v1/models/m:{call}", body))
    plane.close()


def check(status, body):
    answer = json.loads(body)
    assert status in (200, 400), body
    assert (list(answer) == ["error"]) == (status == 400)


numbers = st.integers(0, 99) | st.integers() | st.floats() | st.booleans() | st.none()
texts = st.text(max_size=8) | st.sampled_from(WORDS)
leaves = numbers | texts | st.fixed_dictionaries({"b64": texts})
keys = st.sampled_from(["input_ids", "attention_mask", "token_type_ids", "text", "text_pair", "b64", "x"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]),
    values | st.lists(st.dictionaries(keys, values, min_size=1), min_size=1, max_size=3),
    max_size=3,
)


@given(document=documents, call=st.sampled_from(["predict", "classify", "regress"]))
@QUICK
def test_any_document(ask, document, call):
    check(*ask(json.dumps(document).encode(), call))


@given(data=st.data(), sent=st.sampled_from(SENT))
@QUICK
def test_any_broken_byte(ask, data, sent):
    at = data.draw(st.integers(0, len(sent)))
    middle = data.draw(st.binary(max_size=3))
    check(*ask(sent[:at] + middle + sent[at + data.draw(st.integers(0, 3)) :]))


@given(sent=st.binary(max_size=30))
@QUICK
def test_any_bytes(ask, sent):
    check(*ask(sent))
