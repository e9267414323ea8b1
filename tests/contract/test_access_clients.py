"""Real clients with keys, each by the way that it has for them; and the server in its other shapes."""

from __future__ import annotations

import contextlib
import json
import time

import httpx
import jwt
import numpy as np
import openai
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tritonclient.utils import InferenceServerException

from penjing.security.key_file import revoke_key
from penjing.serve import ServeRecipe, StoreCatalogue, Workers
from penjing.store.store import Store
from serve.admitted import Keys, guarded
from serve.doubles import publish
from serve.onnx_models import tiny_onnx

BODY = {"instances": [{"input_ids": [7, 9]}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("guarded"), grpc_port=0) as found:
        yield found


def test_openais_client(running):
    server, keys = running

    def listed(key):
        with openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=key, max_retries=0) as client:
            return [one.id for one in client.models.list()]

    assert listed(keys["m:predict"]) == ["m"]
    assert listed(keys["other:predict"]) == []
    with pytest.raises(openai.AuthenticationError) as unknown:
        listed("sk-none")
    assert (unknown.value.code, unknown.value.type) == ("invalid_api_key", "invalid_request_error")
    with pytest.raises(openai.PermissionDeniedError) as denied:
        listed(keys["*:feedback"])
    assert denied.value.code == "insufficient_permissions"
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=keys["other:predict"], max_retries=0) as client,
        pytest.raises(openai.PermissionDeniedError),
    ):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}])


@pytest.mark.parametrize("kind", [triton_http, triton_grpc])
def test_tritons_clients(running, kind):
    server, keys = running
    address = server.grpc_address if kind is triton_grpc else f"127.0.0.1:{server.port}"
    text = kind.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array(["w1 w2"], object))
    with contextlib.closing(kind.InferenceServerClient(address)) as client:
        assert client.is_server_ready()
        mine = {"authorization": f"Bearer {keys['m:predict']}"}
        assert client.infer("m", [text], headers=mine).as_numpy("label").tolist() == [b"good"]
        for headers, said in ((None, "no credential came"), ({"x-api-key": keys["other:predict"]}, "no right")):
            with pytest.raises(InferenceServerException, match=said):
                client.infer("m", [text], headers=headers)
        with pytest.raises(InferenceServerException, match="no right to operate"):
            client.load_model("m", headers=mine)
        client.load_model("m", headers={"authorization": f"Bearer {keys['m:operate']}"})


def test_signed_tokens_beside_keys(tmp_path):
    private = Ed25519PrivateKey.generate()
    public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key())) | {"kid": "a"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}))
    told = {"iss": "https://issuer.example", "aud": "penjing", "sub": "ann", "exp": int(time.time()) + 300}
    tokens = {"issuer": told["iss"], "audience": told["aud"], "jwks": str(tmp_path / "jwks.json")}

    def bearer(scope):
        token = jwt.encode(told | {"scope": scope}, private, "EdDSA", headers={"kid": "a"})
        return {"authorization": f"Bearer {token}"}

    with guarded(tmp_path, grpc_port=0, tokens=tokens) as (server, keys):
        for headers, status in (
            (bearer("openid m:predict"), 200),
            (bearer("other:predict"), 403),
            (bearer(""), 403),
            ({"authorization": bearer("m:predict")["authorization"] + "x"}, 401),
            ({"x-api-key": keys["m:predict"]}, 200),
        ):
            assert httpx.post(f"{server.url}/v1/models/m:predict", json=BODY, headers=headers).status_code == status
        with contextlib.closing(triton_grpc.InferenceServerClient(server.grpc_address)) as client:
            assert client.is_model_ready("m", headers=bearer("m:predict"))
            with pytest.raises(InferenceServerException, match="token:ann has no right to look"):
                client.is_model_ready("m", headers=bearer("other:predict"))


def test_a_unix_socket(tmp_path):
    with (
        guarded(tmp_path, uds=tmp_path / "s") as (_, keys),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "s")), base_url="http://server") as client,
    ):
        assert client.post("/v1/models/m:predict", json=BODY).status_code == 401
        headers = {"x-api-key": keys["m:predict"]}
        assert client.post("/v1/models/m:predict", json=BODY, headers=headers).status_code == 200


def test_workers_ask_each_other_without_a_key_and_let_in_nobody_else(tmp_path):
    store, keys = Store(tmp_path / "store"), Keys(tmp_path / "keys.json")
    publish(store, engine=tiny_onnx())
    asks, watches = ({"authorization": f"Bearer {keys[scopes]}"} for scopes in ("m:predict", "*:observe"))
    workers = Workers(StoreCatalogue(store), ServeRecipe(port=0, workers=2, instances=1, grace_s=5, keys=keys.file))
    workers.start()
    try:
        workers.wait_until_ready(timeout_s=60)
        predict, metrics = f"{workers.url}/v1/models/m:predict", f"{workers.url}/metrics"
        for _ in range(6):  # some of each worker
            assert httpx.post(predict, json=BODY, timeout=20).status_code == 401
            assert httpx.post(predict, json=BODY, headers=asks, timeout=20).status_code == 200
        assert httpx.get(metrics, headers=asks).status_code == 403
        page = httpx.get(metrics, headers=watches).text
        assert 'worker="0"' in page
        assert 'worker="1"' in page
        revoke_key(keys.file, "m:predict")
        until = time.monotonic() + 20
        while {httpx.post(predict, json=BODY, headers=asks, timeout=20).status_code for _ in range(6)} != {401}:
            assert time.monotonic() < until
    finally:
        workers.stop()
