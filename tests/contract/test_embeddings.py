"""Every example of the table over a real socket, and what a table cannot say."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contract.cases import Case, check, send
from contract.embedding_cases import CASES, W1, unit
from penjing.core.nouns import Embedding
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.openapi import document
from penjing.serve.api.vectors import as_numbers
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store
from serve.doubles import publish, serving

DOCUMENT = document(all_mounts(None, ServeRecipe()))
OURS = ("/embed", "/embed_all", "/similarity", "/tei/embed", "/v1/embeddings", "/openai/v1/embeddings")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store, "e", embedding=Embedding(size=4))
    with serving(store) as running:
        yield running


def post(server, target, sent):
    return send(server, Case("", "", "POST", target, sent))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server, case):
    check(case, send(server, case))


def test_the_table_is_whole():
    assert len(CASES) > 60
    assert len({str(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("path", OURS)
def test_the_calls_answer_as_the_servers_own_description_says(server, path):
    told = DOCUMENT["paths"][path]["post"]
    example = told["requestBody"]["content"]["application/json"]["example"]
    answer = post(server, path, example | ({"model": "e"} if "model" in example else {}))
    assert answer.status == 200, answer.body
    schema = told["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator(schema | {"components": DOCUMENT["components"]}).validate(answer.json)


def test_base64_is_of_little_endian_floats(server):
    answer = post(server, "/v1/embeddings", {"model": "e", "input": "w1", "encoding_format": "base64"})
    given = np.frombuffer(base64.b64decode(answer.json["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(given, unit(W1), rtol=1e-6)


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8),
    st.booleans(),
)
def test_numbers_give_every_float_back(numbers, is_matrix):
    vectors = np.array([numbers] * 2 if is_matrix else numbers, np.float32)
    np.testing.assert_array_equal(np.array(json.loads(as_numbers(vectors)), np.float32), vectors)


def test_info_and_cost(server):
    info = send(server, Case("", "", "GET", "/info")).json
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    headers = post(server, "/embed", {"inputs": [[2, 7, 3], [2, 3]]}).headers
    assert (headers["x-compute-tokens"], headers["x-compute-characters"]) == ("5", "5")
    assert post(server, "/v1/embeddings", {"model": "e", "input": "w1"}).headers["x-penjing-tokens"] == "3"
    page = send(server, Case("", "", "GET", "/metrics")).body.decode()
    assert 'API="Embeddings"' in page


def test_a_model_that_pools_by_the_first_token_and_leaves_lengths_alone(tmp_path):
    store = Store(tmp_path)
    publish(store, "e", embedding=Embedding(pooling="first", normalised=False, size=4))
    with serving(store) as server:
        assert send(server, Case("", "", "GET", "/info")).json["model_type"] == {"embedding": {"pooling": "cls"}}
        assert post(server, "/v1/embeddings", {"model": "e", "input": "w1"}).json["data"][0]["embedding"] == W1
        assert post(server, "/embed", {"inputs": "w1"}).json == [pytest.approx(unit(W1), abs=1e-6)]
        assert post(server, "/v1/models/e:predict", {"instances": ["w1"]}).json == {"predictions": [W1]}


def test_a_pair_is_refused_in_every_dialect(server):
    pair = [{"name": name, "datatype": "BYTES", "shape": [1], "data": ["w1"]} for name in ("text", "text_pair")]
    answer = post(server, "/v2/models/e/infer", {"inputs": pair})
    assert (answer.status, "is of one text" in answer.json["error"]) == (400, True)
    answer = post(server, "/v1/models/e:predict", {"instances": [{"text": "w1", "text_pair": "w2"}]})
    assert answer.status == 400
    wanted = {"inputs": pair[:1], "outputs": [{"name": "logits"}]}
    assert "expected one of embedding" in post(server, "/v2/models/e/infer", wanted).json["error"]
    wanted["outputs"] = [{"name": "embedding", "parameters": {"classification": 2}}]
    assert "class result not available" in post(server, "/v2/models/e/infer", wanted).json["error"]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "w1", "你", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "a"]), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("inputs", "input", "normalize", "dimensions", "encoding_format", "truncate", "parameters", "prompt_name")


@settings(max_examples=150, deadline=None)
@given(
    target=st.sampled_from(["/embed", "/embed_all", "/similarity", "/v1/embeddings"]),
    sent=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
)
def test_whatever_is_sent_is_answered_in_form(server, target, sent):
    answer = post(server, target, {"model": "e"} | sent)
    assert answer.status in (200, 400, 413, 422), answer.body
    if answer.status != 200:
        assert set(json.loads(answer.body)) in ({"error"}, {"error", "error_type"})
