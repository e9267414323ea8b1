"""Bodies, limits, slow and absent clients, health and readiness, over real sockets."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import zlib

import httpx
import pytest

from penjing.core.errors import NotReadyError
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

PREDICT = "/v1/models/m:predict"
ONE = {"instances": [{"input_ids": [2, 7, 3]}]}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with tight limits."""
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store)
    with serving(store, max_body_bytes=2000, request_timeout_ms=300, header_timeout_s=0.4) as server:
        yield server


def until(condition, within_s=5.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def raw(server, *chunks, pause_s=0.0):
    """Send bytes as they are; all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        for chunk in chunks:
            client.sendall(chunk)
            time.sleep(pause_s)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(small, chunked):
    body = b" " * 5000
    reply = httpx.post(small.url + PREDICT, content=iter([body[:1500], body[1500:]]) if chunked else body)
    assert reply.status_code == 413
    assert "at most 2000" in reply.json()["error"]
    assert reply.headers["connection"] == "close"


def test_a_small_gzip_that_inflates_beyond_the_limit(small):
    bomb = gzip.compress(b" " * 1_000_000)
    reply = httpx.post(small.url + PREDICT, content=bomb, headers={"content-encoding": "gzip"})
    assert len(bomb) < 2000
    assert (reply.status_code, "inflating" in reply.json()["error"]) == (413, True)


@pytest.mark.parametrize("body", [b"{}", gzip.compress(json.dumps(ONE).encode())[:-9]])
def test_a_body_that_is_not_the_gzip_it_claims(small, body):
    reply = httpx.post(small.url + PREDICT, content=body, headers={"content-encoding": "gzip"})
    assert reply.status_code == 400
    assert "gzip" in reply.json()["error"]


@pytest.mark.parametrize(("name", "press"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body(small, name, press):
    reply = httpx.post(small.url + PREDICT, content=press(json.dumps(ONE).encode()), headers={"content-encoding": name})
    assert reply.json() == {"predictions": [[6.0, 7.0, 8.0]]}
    wrong = httpx.post(small.url + PREDICT, content=b"{}{}{}", headers={"content-encoding": name})
    assert (wrong.status_code, f"not {name}" in wrong.text) == (400, True)


def test_a_body_that_does_not_come(small):
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
    reply = raw(small, head + b"{")
    assert reply.startswith(b"HTTP/1.1 504")
    assert b"did not arrive in time" in reply


@pytest.mark.parametrize("head", [b"", b"POST /v1/mod", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_come(small, head):
    began = time.monotonic()
    assert raw(small, head) == b""
    assert time.monotonic() - began < 3


def test_a_second_head_that_does_not_come(small):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    reply = raw(small, request, b"GET /hea", pause_s=0.05)
    assert reply.count(b"HTTP/1.1") == 1


def test_keep_alive_is_not_a_slow_head(small):
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=5)
    for pause_s in (0.8, 0):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"alive":true}'
        time.sleep(pause_s)
    connection.close()


def test_a_caller_may_ask_for_an_earlier_deadline(store):
    engine = FakeEngine(instances=1)

    def ask(asked):
        return httpx.post(server.url + PREDICT, json=ONE, headers={"x-penjing-timeout-ms": asked}, timeout=10)

    with serving(store, open_with=opens(engine)) as server:
        engine.gate.clear()
        running, waiting = ask("300"), ask("30")  # the first still holds the engine
        engine.gate.set()
        assert (running.status_code, waiting.status_code) == (504, 429)
        assert "Run() timeout exceeded while waiting in batching queue" in waiting.json()["error"]
        assert ask("nonsense").status_code == 200


def test_overload_is_503_with_retry_after(store):
    engine = FakeEngine(instances=1)
    with serving(store, open_with=opens(engine), max_queue_tokens=5) as server:
        engine.gate.clear()
        clients = []
        for number in range(2):  # one runs, one waits
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            client.request("POST", PREDICT, json.dumps(ONE))
            clients.append(client)
            until(lambda number=number: lane_of(server).queue_tokens == 3 * number and lane_of(server)._open)
        reply = httpx.post(server.url + PREDICT, json=ONE)
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert "queue of m/1 is full" in reply.json()["error"]
        engine.gate.set()
        assert [client.getresponse().status for client in clients] == [200, 200]
        for client in clients:
            client.close()


def lane_of(server):
    return server.plane.models.all()[0].lane


def test_a_client_that_leaves_frees_its_place(store):
    engine = FakeEngine(instances=1)
    with serving(store, open_with=opens(engine)) as server:
        engine.gate.clear()
        lane = lane_of(server)
        for _ in range(3):
            client = http.client.HTTPConnection("127.0.0.1", server.port)
            client.request("POST", PREDICT, json.dumps(ONE))
            until(lambda: lane._open)
            client.close()
            until(lambda: not lane._open)
        assert lane.queue_tokens == 0
        engine.gate.set()
        assert httpx.post(server.url + PREDICT, json=ONE).status_code == 200
        until(lambda: server._site.in_flight == 0)


def test_readiness_is_honest(store):
    engine = FakeEngine()
    engine.gate.clear()  # warm-up does not end
    with serving(store, open_with=opens(engine), ready_within_s=None) as server:
        assert httpx.get(server.url + "/healthz").status_code == 200
        until(lambda: httpx.get(server.url + "/readyz").json()["waiting_for"] == {"m": "version 1 is LOADING"})
        assert httpx.get(server.url + "/readyz").status_code == 503
        assert httpx.get(server.url + "/readyz/m").status_code == 503
        status = httpx.get(server.url + "/v1/models/m").json()
        assert status["model_version_status"][0]["state"] == "LOADING"
        assert status["ready"] is False
        reply = httpx.post(server.url + PREDICT, json=ONE)
        assert (reply.status_code, reply.json()) == (404, {"error": "Servable not found for request: Latest(m)"})
        engine.gate.set()
        until(lambda: httpx.get(server.url + "/readyz").status_code == 200)
        assert httpx.get(server.url + "/readyz/m").json() == {"ready": True, "waiting_for": {}}
        assert httpx.get(server.url + "/readyz/x").status_code == 404
        assert httpx.post(server.url + PREDICT, json=ONE).status_code == 200


def test_a_version_that_cannot_be_loaded_says_why(tmp_path):
    store = Store(tmp_path)
    publish(store, engine=b"broken")
    with pytest.raises(NotReadyError, match="the file is broken"), serving(store):
        pass
    with serving(store, ready_within_s=None) as server:
        until(lambda: "broken" in httpx.get(server.url + "/readyz").text)
        (status,) = httpx.get(server.url + "/v1/models/m").json()["model_version_status"]
        assert status["state"] == "END"
        assert status["status"]["error_code"] == "INTERNAL"
        assert "the file is broken" in status["status"]["error_message"]


@pytest.mark.parametrize("path", ["/metrics", "/monitoring/prometheus/metrics"])
def test_metrics_pages(small, path):
    httpx.post(small.url + PREDICT, json=ONE)
    httpx.post(small.url + "/v1/models/invented:predict", json=ONE)
    reply = httpx.get(small.url + path)
    assert reply.headers["content-type"].startswith("text/plain")
    assert 'penjing_requests_total{model="m",status="OK"}' in reply.text
    assert "invented" not in reply.text


def test_other_verbs_on_health(small):
    assert httpx.post(small.url + "/healthz").status_code == 405
    assert httpx.head(small.url + "/readyz").status_code == 200


def test_a_fault_of_ours_is_a_500_in_the_dialects_form(store, monkeypatch):
    with serving(store) as server:
        monkeypatch.setattr(server.plane, "ask", None)
        reply = httpx.post(server.url + PREDICT, json=ONE)
        assert reply.status_code == 500
        assert reply.json() == {"error": "internal error; see the server's log"}
