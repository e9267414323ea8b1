"""Calls that are late, left, refused, slow, huge or many: one reply each, and nothing left behind."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import grpc
import pytest

from contract.grpc_client import INFER, PREDICT, Client, connected, infer, predict, refusal, tensor
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

ONE = predict(inputs={"input_ids": tensor([[2, 7, 3]])})
SLOW = predict(inputs={"text": tensor(["slow"], "string")})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


@pytest.fixture
def engine():
    """One instance, that runs nothing before its gate is open."""
    engine = FakeEngine(instances=1)
    yield engine
    engine.gate.set()


@pytest.fixture
def held(store, engine):
    """A server and its client, whose engine stands still once it is ready."""
    with (
        serving(store, open_with=opens(engine), grpc_port=0, max_queue_tokens=64) as server,
        connected(server) as client,
    ):
        engine.gate.clear()
        yield server, client
        engine.gate.set()


def until(condition, within_s=5.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def lane(server):
    return server.plane.models.all()[0].lane


def is_idle(server):
    return lane(server).queue_tokens == 0 and not lane(server)._open and server._grpc.in_flight == 0


def counted(server, status, api="Predict"):
    page = server.plane.metrics.page([]).decode()
    return (
        f'penjing_requests_total{{model="m",status="{status}"}} ' in page
        and f'request_latency_count{{API="{api}",entrypoint="GRPC",model_name="m"}}' in page
    )


def test_costs_are_told_and_counted(held, engine):
    server, client = held
    engine.gate.set()
    call = client.future(PREDICT, ONE)
    told = dict(call.trailing_metadata())
    assert told["x-penjing-tokens"] == "3"
    assert {f"x-penjing-{part}-ms" for part in ("tokenize", "queue", "run")} <= set(told)
    cut = dict(client.future(PREDICT, predict(inputs={"text": tensor(["w1 " * 50], "string")})).trailing_metadata())
    assert cut["x-penjing-cut-texts"] == "1"
    client.call(INFER, infer({"input_ids": ("INT64", [[7]])}))
    client.refused(PREDICT, predict(model="x"))
    assert counted(server, "OK")
    assert counted(server, "OK", api="Infer")
    assert 'model="x"' not in server.plane.metrics.page([]).decode()


def test_the_callers_deadline(held, engine):
    """It ends the call wherever it stands, and takes its room in the queue with it."""
    server, client = held
    waiting = [client.future(PREDICT, ONE, timeout=0.15) for _ in range(4)]
    assert {call.code().name for call in waiting} == {"DEADLINE_EXCEEDED"}
    until(lambda: is_idle(server) and counted(server, "DEADLINE_EXCEEDED"))
    engine.gate.set()
    assert client.future(PREDICT, ONE).code() is grpc.StatusCode.OK


def test_the_servers_own_deadline(store, engine):
    told = {"open_with": opens(engine), "grpc_port": 0, "request_timeout_ms": 150}
    with serving(store, **told) as server, connected(server) as client:
        engine.gate.clear()
        taken = client.future(PREDICT, ONE)
        until(lambda: lane(server).queue_tokens == 0 and lane(server)._open)
        waiting = client.refused(PREDICT, ONE)
        assert waiting.code == "RESOURCE_EXHAUSTED"
        assert waiting.details.startswith("Run() timeout exceeded while waiting in batching queue: the deadline passed")
        assert refusal(taken).code == "DEADLINE_EXCEEDED"
        engine.gate.set()
        until(lambda: is_idle(server))


def test_a_client_that_cancels_frees_its_room(held, engine):
    server, client = held
    first = client.future(PREDICT, ONE)
    until(lambda: lane(server)._open and lane(server).queue_tokens == 0)
    left = [client.future(PREDICT, ONE) for _ in range(10)]
    until(lambda: lane(server).queue_tokens == 30)
    for call in left[::2]:
        call.cancel()
    until(lambda: lane(server).queue_tokens == 15)
    engine.gate.set()
    assert {call.code().name for call in (first, *left[1::2])} == {"OK"}
    until(lambda: is_idle(server) and counted(server, "CANCELLED"))


def test_a_connection_that_breaks_frees_its_room(held, engine):
    server, _ = held
    with connected(server) as leaving:
        calls = [leaving.future(PREDICT, ONE) for _ in range(5)]
        until(lambda: server._grpc.in_flight == 5)
    assert {call.code().name for call in calls} == {"CANCELLED"}
    until(lambda: server._grpc.in_flight == 0)
    engine.gate.set()


def test_overload_is_refused_at_once_and_says_when_to_come_back(held, engine):
    server, client = held
    taken = client.future(PREDICT, ONE)
    until(lambda: lane(server)._open and lane(server).queue_tokens == 0)
    calls = [taken, *(client.future(PREDICT, ONE) for _ in range(60))]
    until(lambda: sum(call.done() for call in calls) == 60 - 64 // 3)
    engine.gate.set()
    ended = [call.code().name for call in calls]
    assert set(ended) == {"OK", "RESOURCE_EXHAUSTED"}
    refused = next(refusal(call) for call, name in zip(calls, ended, strict=True) if name != "OK")
    assert int(refused.trailing["grpc-retry-pushback-ms"]) >= 1
    assert "the queue of m/1 is full" in refused.details
    until(lambda: is_idle(server) and counted(server, "RESOURCE_EXHAUSTED"))
    assert b'penjing_refused_total{model="m",reason="overloaded"}' in server.plane.metrics.page([])


def test_a_request_larger_than_the_queue_is_refused_for_good(held):
    _, client = held
    refused = client.refused(PREDICT, predict(inputs={"input_ids": tensor([7], shape=[5, 16])}))
    assert (refused.code, "at most 64" in refused.details) == ("INVALID_ARGUMENT", True)


def test_draining_finishes_what_is_in_flight_and_refuses_the_rest(store, engine):
    with serving(store, open_with=opens(engine), grpc_port=0) as server, connected(server) as client:
        engine.gate.clear()
        accepted = [client.future(PREDICT, ONE) for _ in range(5)]
        until(lambda: len(lane(server)._open) == 5)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        until(lambda: server.plane.is_draining)
        refused = client.refused(PREDICT, ONE)
        assert (refused.code, refused.details) == ("UNAVAILABLE", "the server is stopping. Ask another replica.")
        assert "grpc-retry-pushback-ms" not in refused.trailing
        engine.gate.set()
        assert {call.code().name for call in accepted} == {"OK"}
        stopping.join()
        assert client.refused(PREDICT, ONE, timeout=2).code == "UNAVAILABLE"


@contextmanager
def slow_line(address, bytes_a_second):
    """A client behind a line that takes its time to bring answers."""
    host, port = address.split(":")
    door, far = socket.socket(), socket.socket()
    for one in (door, far):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    door.bind(("127.0.0.1", 0))
    door.listen()
    far.connect((host, int(port)))
    client = Client(f"127.0.0.1:{door.getsockname()[1]}")
    client.channel.subscribe(lambda _: None, try_to_connect=True)
    near, _ = door.accept()

    def carry(source, target, seconds_a_byte):
        with suppress(OSError):
            while content := source.recv(8192):
                time.sleep(len(content) * seconds_a_byte)
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    ways = [(near, far, 0), (far, near, 1 / bytes_a_second)]
    threads = [threading.Thread(target=carry, args=way) for way in ways]
    for thread in threads:
        thread.start()
    yield client
    client.channel.close()
    for thread in threads:
        thread.join()
    for one in (door, near, far):
        one.close()


def test_an_answer_on_its_way_is_not_cut_off(tmp_path):
    store, outputs = Store(tmp_path), 100
    publish(store, labels=tuple(map(str, range(outputs))))
    rows = predict(inputs={"input_ids": tensor([[7]] * 8000, content=True)})
    engine = FakeEngine(instances=1, outputs=outputs)
    with (
        serving(store, open_with=opens(engine), grpc_port=0) as server,
        slow_line(server.grpc_address, 4_000_000) as client,
    ):
        call = client.future(PREDICT, rows)
        until(lambda: counted(server, "OK"))
        assert not call.done()
        server.stop()
        assert len(call.result().outputs["logits"].float_val) == 8000 * outputs


def test_a_stop_waits_no_longer_than_its_grace(store, engine):
    with serving(store, open_with=opens(engine), grpc_port=0, grace_s=0.2) as server, connected(server) as client:
        engine.gate.clear()
        call = client.future(PREDICT, ONE)
        until(lambda: server._grpc.in_flight)
        began = time.monotonic()
        threading.Timer(1.5, engine.gate.set).start()
        server.stop()
        assert time.monotonic() - began < 4
        assert call.code().name in ("UNAVAILABLE", "CANCELLED")


def test_a_version_that_is_swapped_drops_no_call(store):
    with serving(store, grpc_port=0) as server, connected(server) as client:
        answered = set()
        for number in range(2, 5):
            publish(store)
            while number not in answered:
                answered.add(client.call(PREDICT, ONE).model_spec.version.value)


def test_an_engine_that_fails_on_one_fails_that_one(held, engine):
    _, client = held
    poison = predict(inputs={"text": tensor(["poison"], "string")})
    calls = [client.future(PREDICT, poison if number == 3 else ONE) for number in range(6)]
    engine.gate.set()
    assert [call.code().name for call in calls] == ["OK"] * 3 + ["INTERNAL"] + ["OK"] * 2
