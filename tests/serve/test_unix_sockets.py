"""Unix sockets in place of ports, asked by real clients."""

from __future__ import annotations

import socket

import grpc
import httpx
import pytest

from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue
from penjing.serve.grpc.messages import message
from penjing.serve.ports import listen_unix
from penjing.store.store import Store
from serve.doubles import fresh, publish, serving

CHECK = "/grpc.health.v1.Health/Check"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def ask(path):
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://server") as client:
        return client.post("/v1/models/m:predict", json={"instances": [{"input_ids": [7, 9]}]}).json()


def healthy(address):
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            CHECK,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
        )
        return check(message("grpc.health.v1.HealthCheckRequest")(), timeout=5).status == 1


def test_http_and_grpc_answer_on_unix_sockets_and_leave_no_file(store, tmp_path):
    http, rpc = tmp_path / "http.sock", tmp_path / "grpc.sock"
    with serving(store, uds=http, grpc_uds=rpc) as server:
        assert (server.url, server.grpc_address) == (f"unix:{http}", f"unix:{rpc}")
        assert ask(http) == {"predictions": [[8.0, 9.0, 10.0]]}
        assert healthy(server.grpc_address)
    assert not http.exists()
    assert not rpc.exists()


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(store, tmp_path):
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with serving(store, uds=path):
        assert "predictions" in ask(path)
        for told in ({"uds": path}, {"port": 0, "grpc_uds": path}):
            with pytest.raises(ResourceError, match="another server listens"):
                Server(StoreCatalogue(store), ServeRecipe.model_validate(told), open_with=fresh)
        assert "predictions" in ask(path)


def test_a_server_that_never_started_leaves_no_file(store, tmp_path):
    path = tmp_path / "http.sock"
    Server(StoreCatalogue(store), ServeRecipe(uds=path), open_with=fresh).stop()
    assert not path.exists()


def test_what_is_no_place_for_a_socket(tmp_path):
    (tmp_path / "file").write_text("precious")
    for path, match in (
        (tmp_path / "file", "is no socket"),
        (tmp_path / "none" / "s", "cannot listen"),
        (tmp_path / ("名" * 40), "bytes"),
    ):
        with pytest.raises(ResourceError, match=match):
            listen_unix(path)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_grpc_connection_without_calls_is_closed_in_the_end(store):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # and empty settings
    with serving(store, grpc_port=0, grpc_idle_s=0.3) as server:
        host, port = server.grpc_address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as idle:
            idle.sendall(preface)
            while idle.recv(4096):  # until the server hangs up; a timeout fails the test
                pass
        assert healthy(server.grpc_address)
