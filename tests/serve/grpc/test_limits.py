"""Messages that are huge, slow or absent, and more calls than there may be: bounded, and one reply each."""

from __future__ import annotations

import threading
import time

import grpc
import pytest

from contract.cases import served
from contract.grpc_client import PREDICT, TFS, connected, predict, refusal, tensor
from penjing.serve.grpc.errors import shortened

ONE = predict(inputs={"input_ids": tensor([[2, 7, 3]])})


def until(condition, within_s=5.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    told = {"max_body_bytes": 200_000, "request_timeout_ms": 400, "max_connections": 8}
    with served(folder, grpc_port=0, **told) as server, connected(server) as client:
        yield server, client


def test_a_message_over_the_limit(small):
    server, client = small
    refused = client.refused(PREDICT, b"\0" * 200_001)
    assert (refused.code, "larger than max" in refused.details) == ("RESOURCE_EXHAUSTED", True)
    until(lambda: server._grpc.in_flight == 0)


def test_a_small_gzip_that_inflates_beyond_the_limit(small):
    _, client = small
    refused = client.refused(PREDICT, b"\0" * 50_000_000, compression=grpc.Compression.Gzip, timeout=30)
    assert (refused.code, "larger than max" in refused.details) == ("RESOURCE_EXHAUSTED", True)


def test_a_compressed_message_within_the_limit(small):
    _, client = small
    assert client.future(PREDICT, ONE, compression=grpc.Compression.Gzip).code() is grpc.StatusCode.OK


def test_a_long_message_is_read_aside(small):
    server, client = small
    request = predict(inputs={"input_ids": tensor([[2, 7, 3]] * 3000, content=True)})
    assert len(client.call(PREDICT, request).outputs["logits"].float_val) == 9000
    asked = []
    aside = server.plane.aside
    server.plane.aside = lambda *told, **named: asked.append(1) or aside(*told, **named)
    client.call(PREDICT, request)
    server.plane.aside = aside
    assert len(asked) == 2  # once for the message, once for its tensors


def streamed(client, messages):
    """A call whose messages come when they come, as from a client that is slow or wrong."""
    caller = client.channel.stream_unary(f"/{PREDICT}")
    return caller.future(messages, timeout=10)


def test_a_message_that_does_not_come(small):
    server, client = small
    release = threading.Event()

    def never():
        release.wait(10)
        yield b""

    refused = refusal(streamed(client, never()))
    release.set()
    assert (refused.code, refused.details) == ("DEADLINE_EXCEEDED", "the message did not arrive in time")
    until(lambda: server._grpc.in_flight == 0)


def test_a_call_without_a_message(small):
    _, client = small
    refused = refusal(streamed(client, iter(())))
    assert (refused.code, "no message came" in refused.details) == ("INVALID_ARGUMENT", True)


def test_more_calls_at_a_time_than_there_may_be(small):
    """One client's wait for their turn; another's are refused."""
    server, client = small
    release = threading.Event()

    def later():
        release.wait(10)
        yield ONE.SerializeToString()

    with connected(server) as other:
        waiting = [streamed(client, later()) for _ in range(8)]
        until(lambda: server._grpc.in_flight == 8)
        refused = [other.refused(PREDICT, ONE) for _ in range(3)]
        release.set()
        assert {(one.code, one.details) for one in refused} == {
            ("RESOURCE_EXHAUSTED", "8 calls are under way; expected no more at one time.")
        }
        assert all("grpc-retry-pushback-ms" in one.trailing for one in refused)
        assert {call.code().name for call in waiting} == {"OK"}
        assert other.future(PREDICT, ONE).code() is grpc.StatusCode.OK


def test_a_method_that_there_is_not(small):
    _, client = small
    call = client.channel.unary_unary(f"/{TFS}.SessionService/SessionRun").future(b"", timeout=5)
    assert call.code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_clients_at_once(small):
    server, _ = small
    answers = []

    def ask():
        with connected(server) as own:
            answers.append(own.future(PREDICT, ONE).code().name)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["OK"] * 6


@pytest.mark.parametrize("text", ["", "a" * 2000, "模" * 5000, "\ud800"])
def test_shortened_messages_are_text_of_a_size_that_a_client_takes(text):
    assert len(shortened(text).encode()) <= 2004
