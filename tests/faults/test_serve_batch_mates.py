"""Whatever befalls one request of a batch, its mates are answered: over HTTP, one connection each."""

from __future__ import annotations

import http.client
import json
import random
import time

import pytest

from penjing.store.store import Store
from serve.doubles import POISON, FakeEngine, halves, opens, publish, serving

PREDICT = "/v1/models/m:predict"
CLIENTS = 12


@pytest.fixture
def engine():
    return FakeEngine(instances=1)


@pytest.fixture
def server(tmp_path, engine):
    store = Store(tmp_path)
    publish(store)
    with serving(store, open_with=opens(engine)) as running:
        yield running
        engine.gate.set()


@pytest.fixture
def send():
    """Send a request on a connection of its own; all are closed at the end."""
    clients = []

    def send_one(server, ids):
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        clients.append(client)
        client.request("POST", PREDICT, json.dumps({"instances": [{"input_ids": ids}]}))
        return client

    yield send_one
    for client in clients:
        client.close()


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def gather(send, server, engine, bodies):
    """Requests that wait together behind one that holds the engine."""
    lane = server.plane.models.all()[0].lane
    engine.gate.clear()
    holder = send(server, [7])
    until(lambda: lane._open and lane.queue_tokens == 0)
    clients = [send(server, body) for body in bodies]
    until(lambda: len(lane._open) == 1 + len(bodies))
    return lane, holder, clients


@pytest.mark.parametrize("seed", range(3))
def test_any_subset_may_leave(send, server, engine, seed):
    bodies = [[7, 10 + number] for number in range(CLIENTS)]
    lane, holder, clients = gather(send, server, engine, bodies)
    left = set(random.Random(seed).sample(range(CLIENTS), 5 + seed))
    for number in left:
        clients[number].close()
    until(lambda: len(lane._open) == 1 + CLIENTS - len(left))
    before = len(engine.batches)
    engine.gate.set()
    for number in set(range(CLIENTS)) - left:
        assert json.loads(clients[number].getresponse().read())["predictions"] == halves([bodies[number]])
    assert holder.getresponse().status == 200
    assert sum(engine.batches[before:]) == 1 + CLIENTS - len(left)  # nothing was computed for those who left


def test_any_subset_may_be_poisonous(send, server, engine):
    bodies = [[7, POISON if number % 4 == 0 else 10] for number in range(CLIENTS)]
    _, holder, clients = gather(send, server, engine, bodies)
    engine.gate.set()
    assert holder.getresponse().status == 200
    for number, client in enumerate(clients):
        reply = client.getresponse()
        assert reply.status == (500 if number % 4 == 0 else 200)
    assert server.plane.models.all()[0].lane.failures == 3


def test_an_engine_that_hangs_costs_a_deadline_not_a_server(send, tmp_path):
    engine = FakeEngine(instances=1)
    store = Store(tmp_path)
    publish(store)
    with serving(store, open_with=opens(engine), request_timeout_ms=700) as server:
        _, holder, clients = gather(send, server, engine, [[7]] * 3)
        assert holder.getresponse().status == 504
        assert [client.getresponse().status for client in clients] == [429] * 3
        engine.gate.set()
        assert send(server, [7]).getresponse().status == 200


def test_an_engine_that_always_fails_leaves_the_server_alive(send, tmp_path):
    engine = FakeEngine(instances=2)
    store = Store(tmp_path)
    publish(store)
    with serving(store, open_with=opens(engine)) as server:
        engine.outputs = -1  # np.array of nothing: the wrong number of columns
        engine.is_closed = True
        assert [send(server, [7]).getresponse().status for _ in range(5)] == [500] * 5
        engine.is_closed, engine.outputs = False, 3
        assert send(server, [7]).getresponse().status == 200
