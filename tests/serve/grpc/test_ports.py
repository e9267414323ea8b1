"""The gRPC port: taken at once, given back always, and not needed by a server without one."""

from __future__ import annotations

import json
import subprocess
import sys

import grpc
import pytest

from contract.grpc_client import PREDICT as CALL
from contract.grpc_client import Client, connected, predict, tensor
from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue, running_server
from penjing.serve.ports import listen
from penjing.store.store import Store
from serve.doubles import fresh, publish, serving
from serve.onnx_models import tiny_onnx

ONE = predict(inputs={"input_ids": tensor([[2, 7, 3]])})
NO_TORCH = """
import sys, json
from pathlib import Path
import grpc
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store.store import Store
recipe = ServeRecipe(port=0, grpc_port=0, instances=1)
with running_server(StoreCatalogue(Store(Path(sys.argv[1]))), recipe) as server:
    channel = grpc.insecure_channel(server.grpc_address)
    channel.unary_unary(sys.argv[2])(bytes.fromhex(sys.argv[3]), timeout=20)
    channel.close()
heavy = {"torch", "transformers", "tensorflow", "onnx"}
print(json.dumps(sorted(heavy & {name.split(".")[0] for name in sys.modules})))
"""
WITHOUT_GRPC = """
import sys
from pathlib import Path
sys.modules[sys.argv[2]] = None  # as if it were not installed
import penjing.serve
from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue
from penjing.store.store import Store
catalogue = StoreCatalogue(Store(Path(sys.argv[1])))
Server(catalogue, ServeRecipe(port=0)).stop()
try:
    Server(catalogue, ServeRecipe(port=0, grpc_port=0))
except ResourceError as error:
    print(error)
"""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def run(program, *told):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, told)],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip


def test_it_loads_no_torch(tmp_path):
    store = Store(tmp_path)
    publish(store, engine=tiny_onnx())
    assert json.loads(run(NO_TORCH, store.root, f"/{CALL}", ONE.SerializeToString().hex())) == []


@pytest.mark.parametrize("package", ["grpc", "google.protobuf"])
def test_without_grpc_there_is_a_server_and_an_error_that_names_the_extra(store, package):
    said = run(WITHOUT_GRPC, store.root, package)
    assert f"package '{package}' is not installed; expected the extra 'serve'" in said
    assert "pip install 'penjing[serve]'" in said


def test_without_a_port_there_is_no_grpc(store):
    with serving(store) as server:
        assert server.grpc_address is None


def test_a_port_in_use_is_said_before_anything_is_loaded_and_the_other_is_given_back(store):
    with listen("127.0.0.1", 0) as taken, listen("127.0.0.1", 0) as probe:
        port, http_port = taken.getsockname()[1], probe.getsockname()[1]
        probe.close()
        with pytest.raises(ResourceError, match=f"port {port} .* in use by process .*python"):
            Server(StoreCatalogue(store), ServeRecipe(port=http_port, grpc_port=port), open_with=fresh)
    listen("127.0.0.1", http_port).close()
    with running_server(StoreCatalogue(store), ServeRecipe(port=0, grpc_port=port), open_with=fresh) as server:
        assert server.grpc_address == f"127.0.0.1:{port}"
        with pytest.raises(ResourceError, match=f"port {port} .* in use"):
            Server(StoreCatalogue(store), ServeRecipe(port=0, grpc_port=port), open_with=fresh)


def test_a_server_that_never_started_frees_its_port(store):
    server = Server(StoreCatalogue(store), ServeRecipe(port=0, grpc_port=0), open_with=fresh)
    port = int(server.grpc_address.rpartition(":")[2])
    server.stop()
    server.stop()
    listen("127.0.0.1", port).close()


def test_it_frees_its_port_when_it_stops(store):
    with serving(store, grpc_port=0) as server:
        port = int(server.grpc_address.rpartition(":")[2])
        server.stop()
        listen("127.0.0.1", port).close()


def test_it_can_listen_on_ipv6(store):
    try:
        listen("::1", 0).close()
    except ResourceError:
        pytest.skip("no IPv6 on this machine")
    with serving(store, host="::1", grpc_port=0) as server, connected(server) as client:
        assert server.grpc_address.startswith("[::1]:")
        assert client.future(CALL, ONE).code() is grpc.StatusCode.OK


def test_a_server_can_be_made_where_an_event_loop_runs(store):
    """As in a notebook."""
    import asyncio

    async def make():
        return Server(StoreCatalogue(store), ServeRecipe(port=0, grpc_port=0), open_with=fresh)

    server = asyncio.run(make())
    server.start()
    server.wait_until_ready(timeout_s=10)
    client = Client(server.grpc_address)
    assert client.future(CALL, ONE).code() is grpc.StatusCode.OK
    client.channel.close()
    server.stop()


def test_the_module_says_where_it_listens_and_stops_on_sigterm(store):
    publish(store, engine=tiny_onnx())
    keys = ["port=0", "grpc_port=0", "instances=1", "models=[m]"]
    command = [sys.executable, "-m", "penjing.serve", str(store.root), *(w for key in keys for w in ("--set", key))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        client = Client(json.loads(process.stdout.readline())["grpc"])
        while client.future(CALL, ONE, wait_for_ready=True).code() is not grpc.StatusCode.OK:
            assert process.poll() is None
        client.channel.close()
        process.terminate()
        assert process.wait(10) == 0
