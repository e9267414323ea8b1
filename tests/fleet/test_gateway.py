"""The gateway before stub backends: what goes through, and how."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from fleet.stubs import Stub, running
from penjing.fleet import GatewayRecipe, running_gateway

PREDICT = "/v1/models/m:predict"


@contextmanager
def fronting(*stubs, **told):
    fitness = {"every_s": 0.05, "within_s": 2.0} | told.pop("fitness", {})
    remote = told.pop("remote", None) or [{"url": stub.url, "name": stub.name} for stub in stubs]
    recipe = GatewayRecipe.model_validate({"port": 0, "grace_s": 5, "remote": remote, "fitness": fitness} | told)
    with (
        running_gateway(recipe, ready_within_s=20) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        client.gateway = gateway
        yield client


def until(true, *, within_s=20):
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_request_and_its_reply_go_through_as_they_are():
    with running(Stub("a")) as (stub,), fronting(stub) as client:
        body = bytes(range(256)) * 4000
        reply = client.post("/some/%7Epath?q=1&q=%20", content=body, headers={"x-mine": "1", "connection": "x-mine"})
        line, headers, came = stub.asked[0]
        assert line == "POST /some/%7Epath?q=1&q=%20 HTTP/1.1"
        assert came == body
        assert "x-mine" not in headers  # of that one connection, as its Connection header said
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert (reply.status_code, reply.json()["body"]) == (200, body.decode("latin-1"))
        assert (reply.headers["x-own"], reply.headers["x-penjing-replica"]) == ("a", "a")


def test_compressed_bodies_stay_compressed():
    with running(Stub()) as (stub,), fronting(stub) as client:
        client.post(PREDICT, content=b"\x1f\x8b no gzip", headers={"content-encoding": "gzip"})
        assert stub.asked[0][1]["content-encoding"] == "gzip"
        assert stub.asked[0][2] == b"\x1f\x8b no gzip"


def test_connections_to_replicas_are_kept():
    with running(Stub()) as (stub,), fronting(stub) as client:
        for _ in range(5):
            assert client.get("/x").status_code == 200
        assert client.head("/x").content == b""
        assert client.get("/x").json()["line"].startswith("GET")


@pytest.mark.parametrize("policy", ["round-robin", "least-work", "least-request", "consistent-hash", "prefix-aware"])
def test_requests_are_spread_by_the_policy(policy):
    with running(Stub("a"), Stub("b")) as stubs, fronting(*stubs, policy=policy) as client:
        for number in range(40):
            headers = {"x-penjing-key": str(number)}
            assert client.post(PREDICT, json={"instances": ["x"]}, headers=headers).status_code == 200
        assert min(len(stub.asked) for stub in stubs) >= 2


def test_events_come_as_they_are_sent():
    with running(Stub(events=3)) as (stub,), fronting(stub) as client:
        with client.stream("POST", "/v1/chat/completions", json={"model": "m"}) as reply:
            lines = reply.iter_lines()
            for number in range(3):
                stub.may_go_on.set()  # only now, the one before having arrived
                assert next(line for line in lines if line) == f"data: {number}"
        assert reply.status_code == 200


def test_a_client_that_leaves_ends_what_is_done_for_it():
    with running(Stub(events=3)) as (stub,), fronting(stub) as client:
        with client.stream("POST", "/v1/chat/completions", json={"model": "m"}) as reply:
            stub.may_go_on.set()
            next(reply.iter_lines())
        until(lambda: stub.left == 1)
        until(lambda: client.get("/replicas").json()["replicas"][0]["in_flight"] == 0)


def test_models_are_found_where_they_are():
    with running(Stub("a"), Stub("b")) as stubs:
        remote = [{"url": stub.url, "name": stub.name, "models": [f"m{stub.name}"]} for stub in stubs]
        with fronting(remote=remote) as client:
            for _ in range(3):
                assert client.post("/v1/models/ma:predict", json={}).json()["by"] == "a"
                assert client.post("/v2/models/mb/versions/1/infer", json={}).json()["by"] == "b"
                assert client.post("/v1/chat/completions", json={"model": "mb"}).json()["by"] == "b"
            unknown = client.post("/openai/v1/embeddings", json={"model": "mc"})
            assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


REFUSALS = [
    (PREDICT, 503, lambda said: said["error"]),
    ("/v2/models/m/infer", 503, lambda said: said["error"]),
    ("/kserve/v1/models/m:predict", 503, lambda said: said["error"]),
    ("/embed", 429, lambda said: {"Overloaded": said["error"]}[said["error_type"]]),
    ("/v1/chat/completions", 429, lambda said: {"rate_limit_error": said["error"]}[said["error"]["type"]]),
]


@pytest.mark.parametrize(("path", "status", "form"), REFUSALS, ids=[path for path, *_ in REFUSALS])
def test_what_there_is_no_room_for_is_refused_in_the_dialects_words(path, status, form):
    with running(Stub(delay_s=0.5)) as (stub,), fronting(stub, max_in_flight=1, max_waiting=0) as client:
        first = threading.Thread(target=lambda: httpx.get(f"{client.gateway.url}/x", timeout=20))
        first.start()
        until(lambda: stub.asked)
        reply = client.post(path, json={"model": "m"})
        first.join()
        assert reply.status_code == status
        assert form(reply.json())
        assert int(reply.headers["retry-after"]) >= 1


def test_those_who_wait_are_served_in_turn_or_told_in_time():
    with running(Stub(delay_s=0.1)) as (stub,), fronting(stub, max_in_flight=1, max_waiting=20) as client:
        statuses = []

        def ask(timeout_ms):
            headers = {"x-penjing-timeout-ms": timeout_ms}
            statuses.append(httpx.post(client.gateway.url + PREDICT, json={}, headers=headers, timeout=20).status_code)

        askers = [threading.Thread(target=ask, args=(timeout,)) for timeout in ("20000",) * 5 + ("1",) * 3]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert statuses.count(200) == 5
        assert set(statuses) <= {200, 429, 504}  # 504 where its replica had begun


def test_a_body_over_the_limit_is_refused_before_it_is_read():
    with running(Stub()) as (stub,), fronting(stub, max_body_bytes=1000) as client:
        reply = client.post(PREDICT, content=b"x" * 5000)
        assert reply.status_code == 413
        assert "at most 1000" in reply.json()["error"]
        assert not stub.asked


def test_it_tells_of_itself():
    with running(Stub("a")) as (stub,), fronting(stub) as client:
        assert client.post(PREDICT, json={}).status_code == 200
        assert client.get("/healthz").json() == {"alive": True}
        assert client.get("/readyz").json() == {"ready": True, "waiting_for": {}}
        assert client.post("/readyz").status_code == 405
        page = client.get("/metrics").text
        assert 'penjing_gateway_replies_total{status="200"} 1.0' in page
        assert 'penjing_gateway_ready{replica="a"} 1.0' in page
        facts = client.get("/replicas").json()["replicas"][0]
        assert (facts["name"], facts["in_flight"], facts["ready"]) == ("a", 0, True)
        assert facts["us_per_token"] > 0
        stub.is_ready = False
        until(lambda: client.get("/readyz").status_code == 503)


def test_a_stop_finishes_what_was_begun():
    with running(Stub(delay_s=0.4)) as (stub,), fronting(stub) as client:
        said = []
        asker = threading.Thread(target=lambda: said.append(client.post(PREDICT, json={"a": 1})))
        asker.start()
        until(lambda: stub.asked)
        client.gateway.stop()
        asker.join()
        assert json.loads(said[0].json()["body"]) == {"a": 1}
        assert said[0].headers["connection"] == "close"
