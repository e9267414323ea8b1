"""A temperature found on a validation split travels from training to every answer."""

import httpx
import numpy as np
import pytest

import penjing as package
from app.calling import finetuning, penjing, settings
from app.world import BRIEF
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from penjing.tasks.text_classification import probabilities

TEXT = "the rocket saw a new engine"


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    store = tmp_path_factory.mktemp("calibrated") / "store"
    told = settings("data.validation_fraction=0.2", "training.epochs=6", "measure=null")
    first = penjing(*finetuning(world, store, "--json", *told))
    assert first.status == 0, first.err
    second = penjing("quantize", "topics/1", "--store", store, *settings(*BRIEF, "quantize.max_drop=0.5"))
    assert second.status == 0, second.err
    return store


def test_it_is_kept_with_the_split_it_was_found_on(store):
    first, second = (Store(store).bundle("topics", version).manifest for version in (1, 2))
    assert 0.05 < first.decoding["temperature"] < 20
    assert set(first.data) == {"train", "validation", "test"}
    assert first.decoding["temperature"] != second.decoding["temperature"], "each engine has its own"


def test_every_way_to_ask_gives_the_calibrated_probabilities(store):
    temperature = Store(store).bundle("topics", 1).manifest.decoding["temperature"]
    (told,) = package.predict("topics/1", [TEXT], store=store)
    with (
        running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0, versions={"kind": "all"})) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        (row,) = client.post("/v1/models/topics/versions/1:predict", json={"instances": [TEXT]}).json()["predictions"]
        body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}
        outputs = client.post("/v2/models/topics/versions/1/infer", json=body).json()["outputs"]
        ranked = client.post("/tei/predict?model=topics/1", json={"inputs": TEXT}).json()
    triton = {one["name"]: one["data"] for one in outputs}
    wanted = probabilities(np.array([triton["logits"]], np.float32) / temperature)[0]
    np.testing.assert_allclose(told.probabilities, wanted, atol=1e-5)
    np.testing.assert_allclose(row["probabilities"], wanted, atol=1e-5)
    np.testing.assert_allclose(triton["probabilities"], wanted, atol=1e-5)
    np.testing.assert_allclose([one["score"] for one in ranked], sorted(wanted, reverse=True), atol=1e-5)


def test_evaluation_judges_what_is_answered(store):
    carried = Store(store).bundle("topics", 1).manifest.metrics["nll"].value
    again = penjing("evaluate", "topics/1", "--store", store, "--json")
    assert again.json["metrics"]["nll"]["value"] == pytest.approx(carried)
