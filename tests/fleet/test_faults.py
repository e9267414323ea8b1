"""Replicas that fail in every way: no reply is lost that could have been had."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from fleet.stubs import Stub, running
from fleet.test_gateway import PREDICT, fronting, until
from penjing.core.errors import NotReadyError


def facts(client):
    return {one["name"]: one for one in client.get("/replicas").json()["replicas"]}


def test_a_request_that_is_broken_off_is_sent_elsewhere_if_it_may_be_made_twice():
    with running(Stub("a", breaks=1), Stub("b", breaks=1)) as stubs, fronting(*stubs) as client:
        assert client.post(PREDICT, json={}).status_code == 200
        assert sum(len(stub.asked) for stub in stubs) == 3
        for stub in stubs:
            stub.breaks = 1
        reply = client.post("/v2/repository/models/m/load", json={})
        assert reply.status_code == 500
        assert "broke off" in reply.json()["error"]
        assert sum(len(stub.asked) for stub in stubs) == 4


def test_what_one_refuses_another_may_do_as_long_as_the_budget_lasts():
    with running(Stub("a", status=503), Stub("b")) as stubs:
        with fronting(*stubs, policy="round-robin") as client:
            assert {client.post(PREDICT, json={}).status_code for _ in range(6)} == {200}
        repeat = {"share": 0, "free_per_s": 0}
        with fronting(*stubs, policy="round-robin", repeat=repeat) as client:
            statuses = [client.post(PREDICT, json={}).status_code for _ in range(6)]
            assert sorted(statuses) == [200] * 3 + [503] * 3


def test_the_refusal_of_all_is_passed_on():
    with running(Stub("a", status=429), Stub("b", status=429)) as stubs, fronting(*stubs) as client:
        assert client.post(PREDICT, json={}).status_code == 429
        assert all(len(stub.asked) == 1 for stub in stubs)


def test_whoever_fails_again_and_again_is_put_aside():
    told = {"policy": "round-robin", "fitness": {"eject_after": 3, "eject_s": 60}}
    with running(Stub("a", status=500), Stub("b")) as stubs, fronting(*stubs, **told) as client:
        statuses = [client.post(PREDICT, json={}).status_code for _ in range(20)]
        assert statuses.count(500) == 3  # which are the replica's own answers, and passed on
        assert facts(client)["a"]["aside"]
        assert 'penjing_gateway_ejections_total{replica="a"} 1.0' in client.get("/metrics").text


def test_nobody_is_put_aside_for_the_short_patience_of_a_client():
    told = {"fitness": {"eject_after": 1, "eject_s": 60}}
    with running(Stub("a", delay_s=0.3), Stub("b", delay_s=0.3)) as stubs, fronting(*stubs, **told) as client:
        impatient = {"x-penjing-timeout-ms": "20"}
        assert {client.post(PREDICT, json={}, headers=impatient).status_code for _ in range(3)} <= {429, 504}
        assert not any(one["aside"] for one in facts(client).values())


def test_with_nobody_else_left_those_put_aside_are_asked_again():
    with running(Stub("a", status=500), Stub("b", status=500)) as stubs:
        told = {"eject_after": 1, "eject_s": 60, "eject_most": 1.0}
        with fronting(*stubs, fitness=told) as client:
            for _ in range(4):
                client.post(PREDICT, json={})
            assert all(one["aside"] for one in facts(client).values())
            for stub in stubs:
                stub.status = 200
            assert client.post(PREDICT, json={}).status_code == 200


def test_a_hung_replica_loses_nothing():
    with running(Stub("a"), Stub("b")) as stubs:
        told = {"within_s": 0.3, "unready_after": 2}
        with fronting(*stubs, policy="round-robin", fitness=told) as client:
            assert client.post(PREDICT, json={}).status_code == 200
            stubs[0].hangs = True
            assert {client.post(PREDICT, json={}).json()["by"] for _ in range(6)} == {"b"}
            stubs[0].hangs = False
            until(lambda: facts(client)["a"]["ready"])
            assert {client.post(PREDICT, json={}).json()["by"] for _ in range(6)} == {"a", "b"}


def test_a_flapping_replica_loses_nothing():
    with running(Stub("a"), Stub("b")) as stubs, fronting(*stubs, policy="round-robin") as client:
        over = threading.Event()

        def flap():
            while not over.wait(0.03):
                stubs[0].is_ready = not stubs[0].is_ready
                stubs[0].breaks = 1

        flapping = threading.Thread(target=flap)
        flapping.start()
        statuses = {client.post(PREDICT, json={}).status_code for _ in range(80)}
        over.set()
        flapping.join()
        assert statuses == {200}


def test_a_slow_replica_gets_what_it_can_do():
    with running(Stub("a", delay_s=0.1), Stub("b", delay_s=0.005)) as stubs, fronting(*stubs) as client:
        askers = [
            threading.Thread(target=lambda: [httpx.post(client.gateway.url + PREDICT, json={}) for _ in range(8)])
            for _ in range(4)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert len(stubs[1].asked) > 2 * len(stubs[0].asked)


def test_events_that_are_broken_off_do_not_look_whole():
    with running(Stub(events=3, breaks_after=1)) as (stub,), fronting(stub) as client:

        def go_on():
            while not over.wait(0.02):
                stub.may_go_on.set()

        over = threading.Event()
        going = threading.Thread(target=go_on)
        going.start()
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/v1/chat/completions", json={"model": "m"})
        over.set()
        going.join()


def test_nobody_ready_is_said_in_time_with_when_to_come_back():
    with running(Stub()) as (stub,), fronting(stub, max_wait_ms=100) as client:
        stub.is_ready = False
        until(lambda: not facts(client)["stub"]["ready"])
        reply = client.post(PREDICT, json={})
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "none of 1 replicas is ready" in reply.json()["error"]
        with pytest.raises(NotReadyError, match="no replica is ready"):
            client.gateway.wait_until_ready(timeout_s=0.1)


def test_those_who_wait_for_a_replica_get_it_when_it_comes_back():
    with running(Stub()) as (stub,), fronting(stub, max_wait_ms=10_000) as client:
        stub.is_ready = False
        until(lambda: not facts(client)["stub"]["ready"])
        replies = []
        asker = threading.Thread(target=lambda: replies.append(client.post(PREDICT, json={}).status_code))
        asker.start()
        until(lambda: "penjing_gateway_waiting 1.0" in httpx.get(client.gateway.url + "/metrics").text)
        stub.is_ready = True
        asker.join()
        assert replies == [200]


def test_ten_times_too_much_is_refused_and_the_rest_is_answered():
    with running(Stub(delay_s=0.05)) as (stub,):
        told = {"max_in_flight": 2, "max_waiting": 4, "max_wait_ms": 20_000}
        with fronting(stub, **told) as client:
            statuses = []
            askers = [
                threading.Thread(
                    target=lambda: statuses.append(httpx.post(client.gateway.url + PREDICT, json={}, timeout=30))
                )
                for _ in range(20)
            ]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
            codes = [reply.status_code for reply in statuses]
            assert set(codes) <= {200, 503}
            assert codes.count(200) >= 6
            assert all("retry-after" in reply.headers for reply in statuses if reply.status_code == 503)
            began = time.monotonic()
            assert client.post(PREDICT, json={}).status_code == 200
            assert time.monotonic() - began < 20
