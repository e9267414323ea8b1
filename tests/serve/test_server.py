"""The server as a whole: a real engine, real processes, ports and signals."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest

from penjing.core.errors import ResourceError
from penjing.serve import Server, ServeRecipe, StoreCatalogue, running_server
from penjing.serve.ports import listen
from penjing.store.store import Store
from serve.doubles import fresh, publish, serving
from serve.onnx_models import tiny_onnx

NO_TORCH = """
import sys, json, urllib.request
from pathlib import Path
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store.store import Store
with running_server(StoreCatalogue(Store(Path(sys.argv[1]))), ServeRecipe(port=0, instances=1)) as server:
    body = json.dumps({"instances": ["w1 w2"]}).encode()
    with urllib.request.urlopen(server.url + "/v1/models/m:predict", body) as reply:
        answer = json.load(reply)
assert not {"grpc", "google.protobuf"} & set(sys.modules), "gRPC is loaded, though nobody asked for it"
heavy = {"torch", "transformers", "tensorflow", "onnx", "sklearn", "pandas", "scipy"}
print(json.dumps({"answer": answer, "loaded": sorted(heavy & {name.split(".")[0] for name in sys.modules})}))
"""


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store, engine=tiny_onnx())
    return store


def test_serving_loads_no_torch(store):
    ran = subprocess.run(
        [sys.executable, "-c", NO_TORCH, str(store.root)], capture_output=True, text=True, timeout=60, check=True
    )
    said = json.loads(ran.stdout)
    assert said["loaded"] == []
    assert said["answer"]["predictions"][0]["label"] == "good"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_real_engine_end_to_end(tmp_path, name):
    store = Store(tmp_path)
    publish(store, engine=tiny_onnx(), name=name)
    with running_server(StoreCatalogue(store), ServeRecipe(port=0, instances=2)) as server:
        instances = [{"input_ids": [first, 7, 3][: 1 + first % 3]} for first in range(6, 60)]
        reply = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": instances[:1] + instances[3::3]})
        assert reply.json()["predictions"] == [[n / 2, n / 2 + 1, n / 2 + 2] for n in range(6, 60, 3)]


@pytest.mark.parametrize("content", [b"not an engine"])
def test_an_engine_file_that_is_none(tmp_path, content):
    store = Store(tmp_path)
    publish(store, engine=content)
    with running_server(StoreCatalogue(store), ServeRecipe(port=0), ready_within_s=None) as server:
        while not (why := httpx.get(f"{server.url}/readyz").json()["waiting_for"].get("m", "")).startswith("ONNX"):
            assert "broken" not in why
        assert "cannot open" in why


def test_a_port_in_use_is_said_before_anything_is_loaded(store):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port} .* in use by process .*python") as caught:
            Server(StoreCatalogue(store), ServeRecipe(port=port), open_with=fresh)
        assert "choose another port" in caught.value.do
    with running_server(StoreCatalogue(store), ServeRecipe(port=port), open_with=fresh) as server:
        assert server.port == port


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_ours(store, host):
    with pytest.raises(ResourceError, match="cannot listen"):
        Server(StoreCatalogue(store), ServeRecipe(host=host, port=0, access_control=False))


def test_a_server_can_listen_on_ipv6(store):
    try:
        listen("::1", 0).close()
    except ResourceError:
        pytest.skip("no IPv6 on this machine")
    with running_server(StoreCatalogue(store), ServeRecipe(host="::1", port=0), open_with=fresh) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_stop_is_idempotent_and_a_server_that_never_started_frees_its_port(store):
    server = Server(StoreCatalogue(store), ServeRecipe(port=0), open_with=fresh)
    server.stop()
    listen("127.0.0.1", server.port).close()
    with serving(store) as running:
        running.stop()


def test_a_swap_under_load_fails_no_request(store):
    with serving(store) as server, httpx.Client(base_url=server.url) as client:
        versions = set()
        for number in range(2, 5):
            publish(store)
            while number not in versions:
                reply = client.post("/v1/models/m:predict", json={"instances": [{"input_ids": [7]}]})
                assert reply.status_code == 200, reply.text
                metadata = client.get("/v1/models/m/metadata").json()
                versions.add(int(metadata["model_spec"]["version"]))


def test_the_module_says_where_it_listens_and_what_is_wrong(store):
    command = [sys.executable, "-m", "penjing.serve", str(store.root), "--set", "port=0", "--set", "instances=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        while httpx.get(f"{url}/readyz").status_code != 200:
            pass
        process.terminate()
        assert process.wait(10) == 0
    wrong = subprocess.run([*command, "--set", "instance=1"], capture_output=True, text=True, timeout=30, check=False)
    assert wrong.returncode == 2
    assert "did you mean 'instances'" in wrong.stderr
