"""What is written of requests: lines of JSON, and spans that a real SDK collects. Never what was sent."""

from __future__ import annotations

import json
import sys

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contract.grpc_client import PREDICT, Client
from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue, tracing
from penjing.serve.grpc.messages import message
from penjing.store.store import Store
from serve.doubles import fresh, publish, serving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
SECRET = "w1 geheim 秘密"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


@pytest.fixture
def spans(monkeypatch):
    exporter = InMemorySpanExporter()

    def opened(_endpoint):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return tracing.Tracer(provider)

    monkeypatch.setattr(tracing, "open_tracer", opened)
    return exporter


def ask(server, **told):
    return httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [SECRET]}, **told)


def ids_request():
    request = message("tensorflow.serving.PredictRequest")()
    request.model_spec.name = "m"
    ids = request.inputs["input_ids"]
    ids.dtype = 9
    ids.tensor_shape.dim.add(size=1)
    ids.tensor_shape.dim.add(size=2)
    ids.int64_val.extend([7, 9])
    return request


def test_a_line_a_request_without_what_was_sent(store, tmp_path):
    file = tmp_path / "access.jsonl"
    with serving(store, access_log=file, grpc_port=0) as server:
        assert ask(server).status_code == 200
        assert httpx.post(f"{server.url}/v1/models/none:predict", json={"instances": [SECRET]}).status_code == 404
        assert httpx.get(f"{server.url}/healthz?key=hidden").status_code == 200
        Client(server.grpc_address).call(PREDICT, ids_request())
    text = file.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["transport"], line["what"], line["status"]) for line in lines] == [
        ("http", "POST /v1/models/m:predict", "200"),
        ("http", "POST /v1/models/none:predict", "404"),
        ("http", "GET /healthz", "200"),
        ("grpc", PREDICT, "OK"),
    ]
    assert {"at", "ms", "tokenize_ms", "queue_ms", "run_ms", "tokens"} <= lines[0].keys()
    assert "tokens" not in lines[1]
    assert lines[3]["tokens"] == 2
    assert not any(word in text for word in ("geheim", "秘密", "hidden"))


def test_spans_continue_the_callers_trace(store, spans):
    with serving(store, otlp_endpoint="http://127.0.0.1:1/v1/traces", grpc_port=0) as server:
        reply = ask(server, headers=CALLER)
        call = Client(server.grpc_address).future(PREDICT, ids_request(), metadata=tuple(CALLER.items()))
        call.result()
        returned = dict(call.trailing_metadata())["traceparent"]
        assert ask(server, headers={"traceparent": "nonsense"}).headers["traceparent"].split("-")[1] != TRACE
    made = spans.get_finished_spans()
    assert [span.name for span in made[:4]] == ["tokenize", "queue", "run", "POST /v1/models/m:predict"]
    request = made[3]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert reply.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert all(span.parent.span_id == request.context.span_id for span in made[:3])
    assert request.start_time <= made[0].start_time <= made[2].end_time <= request.end_time
    assert made[7].name == PREDICT
    assert returned == f"00-{TRACE}-{made[7].context.span_id:016x}-01"
    assert not any("geheim" in str(span.to_json()) for span in made)


def test_without_the_extra_the_server_says_so(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ResourceError, match="not installed"):
        Server(StoreCatalogue(store), ServeRecipe(port=0, otlp_endpoint="http://x"), open_with=fresh)


def test_a_log_that_cannot_be_written_is_an_error_at_the_start(store, tmp_path):
    with pytest.raises(ResourceError, match="cannot be written"):
        Server(StoreCatalogue(store), ServeRecipe(port=0, access_log=tmp_path / "none" / "x"), open_with=fresh)
