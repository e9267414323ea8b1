"""A model of several labels and one of numbers, asked by other people's clients and at the edges of the dialects."""

from __future__ import annotations

import json

import httpx
import pytest

from app.calling import penjing
from penjing.core.nouns import Problem
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from serve.doubles import FakeEngine, publish

LABELS = {Problem.MULTI_LABEL: ("a", "b", "丙"), Problem.REGRESSION: ("score",)}


def serving(folder, problem, labels=None):
    names = labels or LABELS[problem]
    publish(Store(folder), labels=names, problem=problem)
    engine = FakeEngine(outputs=len(names))
    recipe = ServeRecipe(port=0, grpc_port=0)
    return running_server(StoreCatalogue(Store(folder)), recipe, open_with=lambda _bundle, _recipe: engine)


@pytest.mark.parametrize("problem", LABELS)
def test_other_peoples_clients_are_content(tmp_path, problem):
    with serving(tmp_path, problem) as server:
        ran = penjing("conformance", server.url, "--model", "m", "--json")
    assert ran.status == 0, ran.out


def test_of_several_labels(tmp_path):
    with serving(tmp_path, Problem.MULTI_LABEL) as server, httpx.Client(base_url=server.url) as client:
        row, none = {"text": "w1"}, {"inputs": []}
        (answer,) = client.post("/v1/models/m:predict", json={"instances": [row]}).json()["predictions"]
        batch = client.post("/v1/models/m:predict", json={"instances": ["w1"] * 500}).json()["predictions"]
        regressed = client.post("/v1/models/m:regress", json={"examples": [row]})
        asked = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["w1"]}]}
        absent = client.post("/v2/models/m/infer", json=asked | {"outputs": [{"name": "label"}]})
        ranked = {"outputs": [{"name": "labels", "parameters": {"classification": 2}}]}
        no_ranks = client.post("/v2/models/m/infer", json=asked | ranked)
        empty = client.post("/v2/models/m/infer", json=none)
    assert (answer["labels"], len(answer["probabilities"])) == (["丙", "b", "a"], 3)
    assert [one["labels"] for one in batch] == [answer["labels"]] * 500
    assert regressed.status_code == 400
    assert "expected one of labels, probabilities, logits" in absent.text
    assert (no_ranks.status_code, empty.status_code) == (400, 400)


def test_one_label_that_may_hold_or_not_makes_no_re_ranker(tmp_path):
    with serving(tmp_path, Problem.MULTI_LABEL, ("好",)) as server, httpx.Client(base_url=server.url) as client:
        assert list(client.get("/info").json()["model_type"]) == ["classifier"]
        assert client.post("/rerank", json={"query": "w1", "texts": ["w2"]}).status_code == 424
        (answer,) = client.post("/v1/models/m:predict", json={"instances": ["w1"]}).json()["predictions"]
        assert answer["labels"] == ["好"]


def test_a_regression_of_pairs_ranks_texts_by_its_number(tmp_path):
    with serving(tmp_path, Problem.REGRESSION) as server, httpx.Client(base_url=server.url) as client:
        ranked = client.post("/rerank", json={"query": "w1", "texts": ["w2", "w3"]}).json()
    assert json.dumps(ranked) == '[{"index": 1, "score": 12.0}, {"index": 0, "score": 11.5}]'
