"""A server that writes down whom it refused and who changed something."""

from __future__ import annotations

import json

import httpx
import pytest
from pydantic import ValidationError

from contract.grpc_client import connected, infer
from penjing.security.audit import verify
from penjing.serve import ServeRecipe
from penjing.serve.grpc.messages import message
from serve.admitted import guarded

BODY = {"instances": [{"input_ids": [7, 9]}]}
OIP = "inference.GRPCInferenceService"


def test_refusals_and_changes_are_written_down_over_http_and_grpc(tmp_path):
    log = tmp_path / "audit.jsonl"
    with guarded(tmp_path, grpc_port=0, audit_log=log) as (server, keys), connected(server) as client:
        post = f"{server.url}/v1/models/m:predict"
        asks, operates, other = (keys[scopes] for scopes in ("m:predict", "m:operate", "other:predict"))
        assert httpx.post(post, json=BODY, headers={"x-api-key": asks}).status_code == 200
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        httpx.post(f"{post}?key={asks}", json=BODY)
        httpx.post(post, json=BODY, headers={"x-api-key": other})
        httpx.post(f"{server.url}/v1/completions", json={"model": "m", "prompt": "a"}, headers={"x-api-key": other})
        httpx.post(f"{server.url}/v2/repository/models/m/load", headers={"x-api-key": operates})
        client.refused(f"{OIP}/ModelInfer", infer({"input_ids": ("INT64", [[7]])}), metadata=[("x-api-key", other)])
        client.refused(f"{OIP}/ServerMetadata", message("inference.ServerMetadataRequest")())
        load = message("inference.RepositoryModelLoadRequest")(model_name="m")
        client.call(f"{OIP}/RepositoryModelLoad", load, metadata=[("x-api-key", operates)])
    told = [json.loads(line) for line in log.read_text().splitlines()]
    of = {scopes: f"key:{key.split('_')[1]}" for scopes, key in keys.texts.items()}
    assert [(line["event"], line["caller"], line["what"], line["facts"].get("code", "")) for line in told] == [
        ("refused", "nobody", "POST /v1/models/m:predict", "unauthenticated"),
        ("refused", of["other:predict"], "POST /v1/models/m:predict", "forbidden"),
        ("refused", of["other:predict"], "POST /v1/completions", "forbidden"),
        ("allowed", of["m:operate"], "POST /v2/repository/models/m/load", ""),
        ("refused", of["other:predict"], f"{OIP}/ModelInfer", "forbidden"),
        ("refused", "nobody", f"{OIP}/ServerMetadata", "unauthenticated"),
        ("allowed", of["m:operate"], f"{OIP}/RepositoryModelLoad", ""),
    ]
    assert verify(log).n == len(told)
    assert not [key for key in keys.texts.values() if key[-64:] in log.read_text()]
    assert told[0]["facts"]["peer"] == "127.0.0.1"


def test_what_cannot_be_written_down_is_not_carried_out(tmp_path):
    log = tmp_path / "audit.jsonl"
    with guarded(tmp_path, audit_log=log) as (server, keys):
        log.write_text("nonsense\n")
        load = f"{server.url}/v2/repository/models/m/load"
        assert httpx.post(load, headers={"x-api-key": keys["m:operate"]}).status_code == 500
        assert httpx.post(load).status_code == 401
        post = f"{server.url}/v1/models/m:predict"
        assert httpx.post(post, json=BODY, headers={"x-api-key": keys["m:predict"]}).status_code == 200


def test_an_audit_log_wants_to_know_who_asks():
    with pytest.raises(ValidationError, match="wants keys or tokens"):
        ServeRecipe.model_validate({"audit_log": "a"})
