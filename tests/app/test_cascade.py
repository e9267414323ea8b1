"""``penjing cascade``: a version that asks others in turn, through every way of asking, and what is refused."""

from __future__ import annotations

import json
import shutil

import httpx
import pytest

from app.calling import penjing, settings
from app.world import BRIEF, labelled_rows, write_rows
from penjing.core.errors import CorruptBundleError
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from penjing.store.manifest import MANIFEST_NAME


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("held-out") / "held-out.csv", labelled_rows(420, seed=9))


def cascading(store, held_out, *more, stages=("topics/2", "topics/1"), name="fast"):
    told = ("--name", name, "--held-out", held_out, "--store", store, "--json", *settings(*BRIEF))
    return penjing("cascade", *stages, *told, *more)


@pytest.fixture(scope="module")
def cascaded(made, held_out, tmp_path_factory):
    """A store with ``fast/1``."""
    store = shutil.copytree(made.store, tmp_path_factory.mktemp("cascaded") / "store")
    ran = cascading(store, held_out, "--agreement", 0.98, "--max-drop", 0.2)
    assert ran.status == 0, ran.err
    return store


def test_a_cascade_is_a_version_like_any_other(cascaded):
    bundle = Store(cascaded).bundle("fast", 1)
    bundle.verify()
    manifest = bundle.manifest
    assert [(one.source, one.threshold is None) for one in manifest.stages] == [("topics/2", False), ("topics/1", True)]
    assert sum(one.share.value for one in manifest.stages) == pytest.approx(1)
    assert manifest.metrics["stage_1_share"].value > 0.3
    assert manifest.metrics["agreement"].value > 0.9
    assert manifest.metrics["agreement"].n == 80
    assert "speedup" in manifest.speed
    assert {one.name for one in manifest.parents} == {"topics/1", "topics/2"}
    assert manifest.data["held_out"].rows > 400
    judged = penjing("evaluate", "fast/1", "--store", cascaded, "--json")
    assert judged.json["metrics"]["accuracy"]["value"] == manifest.metrics["accuracy"].value
    assert "cascade" in penjing("models", "--store", cascaded).out


def test_it_serves_and_says_which_stage_answered(cascaded):
    texts = [text for text, _ in labelled_rows(24, seed=77)]
    alone = [
        json.loads(line)
        for line in penjing("predict", "fast/1", *texts, "--store", cascaded, "--json").out.splitlines()
    ]
    recipe = ServeRecipe.model_validate({"port": 0, "models": ["fast"]})
    with running_server(StoreCatalogue(Store(cascaded)), recipe) as server:
        reply = httpx.post(f"{server.url}/v1/models/fast:predict", json={"instances": [*texts, texts[0]]})
        assert reply.status_code == 200, reply.text
        counted = [int(reply.headers[f"x-penjing-stage-{number}-texts"]) for number in (1, 2)]
        assert sum(counted) == len(texts) + 1
        kserve = httpx.post(f"{server.url}/v2/models/fast/infer", json=infer(texts))
        assert kserve.status_code == 200, kserve.text
        tei = httpx.post(f"{server.url}/predict", json={"inputs": texts[0]})
        assert tei.status_code == 200, tei.text
        assert httpx.get(f"{server.url}/v2/models/fast").json()["platform"] == "penjing_cascade"
        page = httpx.get(f"{server.url}/metrics").text
    for row, one in zip(reply.json()["predictions"], alone, strict=False):
        assert row["label"] == one["label"]
        assert row["score"] == pytest.approx(one["score"], abs=0.02)  # dynamic int8 looks at its batch
    assert 'penjing_stage_texts_total{model="fast",stage="1"}' in page
    total = sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("penjing_stage_texts_total{"))
    assert total == 2 * len(texts) + 2


def infer(texts):
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}]}


def test_it_cannot_be_quantised_or_nested(cascaded, held_out):
    assert "is a cascade" in penjing("quantize", "fast/1", "--store", cascaded).err
    assert "is a cascade itself" in cascading(cascaded, held_out, stages=("fast/1", "topics/1")).err


def test_a_cascade_with_a_stage_missing_is_not_opened(cascaded, tmp_path):
    store = shutil.copytree(cascaded, tmp_path / "store")
    (store / "fast" / "1" / "engine" / "stage-1" / "model.onnx").unlink()
    with pytest.raises(CorruptBundleError, match="is missing"):
        Store(store).bundle("fast", 1).verify()
    file = store / "fast" / "1" / MANIFEST_NAME
    told = json.loads(file.read_text())
    told["stages"][1]["threshold"] = 0.5
    file.write_text(json.dumps(told))
    with pytest.raises(CorruptBundleError, match="all but the last have one"):
        Store(store).bundle("fast", 1)


def test_what_does_not_go_together_is_refused(store, held_out, tmp_path):
    ran = cascading(store, held_out, "--agreement", 0.9999)
    assert ran.status == 1
    assert "cannot prove an agreement of 99.99%" in ran.err
    ran = penjing("cascade", "topics/2", "topics/1", "--name", "fast", "--store", store)
    assert ran.status == 2
    assert "without a validation split" in ran.err
    assert cascading(store, held_out, stages=("topics/1",)).status == 2
    assert "no text that is not in" in cascading(store, repeated(store, tmp_path)).err
    pruned = penjing("prune", "topics/1", "--name", "cut", "--vocabulary", "--store", store, "--set", "measure=null")
    assert pruned.status == 0, pruned.err
    ran = cascading(store, held_out, stages=("cut/1", "topics/1"))
    assert ran.status == 2
    assert "different tokens" in ran.err
    assert "fast" not in Store(store).models()


def repeated(store, folder):
    """The training texts once more."""
    source = Store(store).bundle("topics", 1).manifest.data["train"].source
    return shutil.copyfile(source, folder / "again.csv")
