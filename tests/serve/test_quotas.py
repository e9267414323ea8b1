"""Limits of a key, told in each protocol's own words."""

from __future__ import annotations

import httpx
import pytest

from contract.grpc_client import connected, infer
from penjing.security.key_file import add_key, revoke_key
from penjing.security.keys import Limits, new_key
from penjing.security.scopes import Scope
from serve.admitted import guarded

PREDICT = "/v1/models/m:predict"
IDS = {"input_ids": ("INT64", [[7, 9]])}
BODY = {"instances": [{"input_ids": [7, 9]}]}


@pytest.fixture
def running(tmp_path):
    with guarded(tmp_path, grpc_port=0) as found:
        yield found


def limited(keys, **limits):
    made = new_key("limited", [Scope.parse("*:predict")], limits=Limits(**limits))
    add_key(keys.file, made)
    return {"authorization": f"Bearer {made.text}"}, made.key.id


def ask(server, headers, path=PREDICT, body=BODY):
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, timeout=20)


def taken_up(server, headers):
    """The first answer with a key that has just been added, or the refusal of its limit."""
    while (reply := ask(server, headers)).status_code == 401:
        pass
    return reply


def test_requests_over_the_limit_are_refused_and_only_theirs(running):
    server, keys = running
    headers, ident = limited(keys, requests_per_minute=2)
    assert taken_up(server, headers).status_code == 200
    assert ask(server, headers).status_code == 200
    for path, body, said in (
        (PREDICT, BODY, lambda told: told["error"]),
        ("/v2/models/m/infer", {"inputs": []}, lambda told: told["error"]),
        ("/kserve/v1/models/m:predict", BODY, lambda told: told["error"]),
        ("/predict?model=m", {"inputs": "w1"}, lambda told: told["error"] * (told["error_type"] == "Overloaded")),
        ("/v1/completions", {"model": "m", "prompt": "a"},
         lambda told: told["error"]["message"] * (told["error"]["code"] == "rate_limit_exceeded")),
    ):  # fmt: skip
        reply = ask(server, headers, path, body)
        assert reply.status_code == 429
        assert 1 <= int(reply.headers["retry-after"]) <= 30
        assert "more than 2 requests a minute" in said(reply.json())
    with connected(server) as client:
        refusal = client.refused(
            "inference.GRPCInferenceService/ModelInfer", infer(IDS), metadata=list(headers.items())
        )
    assert refusal.code == "RESOURCE_EXHAUSTED"
    assert 0 < int(refusal.trailing["grpc-retry-pushback-ms"]) <= 30_000
    assert ask(server, {"x-api-key": keys["m:predict"]}).status_code == 200
    revoke_key(keys.file, keys["*:observe"].split("_")[1])  # a file that is read anew gives nothing back
    while httpx.get(f"{server.url}/metrics", headers={"x-api-key": keys["*:observe"]}).status_code != 401:
        pass
    assert ask(server, headers).status_code == 429
    assert httpx.get(f"{server.url}/healthz", headers=headers).status_code == 200
    assert ident


def test_tokens_are_counted_over_http_and_grpc(running):
    server, keys = running
    headers, _ = limited(keys, tokens_per_day=4)
    first = taken_up(server, headers)
    assert (first.status_code, first.headers["x-penjing-tokens"]) == (200, "2")
    with connected(server) as client:
        client.call("inference.GRPCInferenceService/ModelInfer", infer(IDS), metadata=list(headers.items()))
    reply = ask(server, headers)
    assert (reply.status_code, "tokens of a day" in reply.text) == (429, True)
    assert int(reply.headers["retry-after"]) <= 86_400
