"""Several labels a text, none included: train, tune, quantise, judge, predict, and ask in every dialect."""

from __future__ import annotations

import csv
import json
import random

import httpx
import numpy as np
import pyarrow.parquet
import pytest
import torch
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import BRIEF, FILLERS, KEYWORDS, LABELS, UNMEASURED, shared_world
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from penjing.tasks.multi_label import thresholds_of

MULTI = "data.problem_type=multi_label_classification"


def several(count, *, seed):
    """Distinct (text, labels); a text has keywords of none, one or two labels, in both scripts."""
    rng, rows = random.Random(seed), {}
    while len(rows) < count:
        labels = sorted(rng.sample(LABELS, len(rows) % 3))
        words = [word for label in labels for word in rng.choices(KEYWORDS[label], k=2)]
        words += rng.choices(FILLERS[rng.choice(LABELS)], k=rng.randrange(2, 6))
        rng.shuffle(words)
        rows[" ".join(words)] = labels
    return list(rows.items())


ROWS = several(390, seed=5)
TEXTS = [text for text, _ in ROWS[300:312]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    for name, rows in (("train", ROWS[:300]), ("test", ROWS[300:])):
        lines = [json.dumps({"text": text, "labels": labels}, ensure_ascii=False) for text, labels in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    world, store = shared_world(tmp_path_factory), data / "store"
    first = command("finetune", "--name", "m", "--model", world.checkpoint, "--train", data / "train.jsonl", "--test",
                    data / "test.jsonl", "--store", store, "--json", *settings(MULTI, *UNMEASURED))  # fmt: skip
    assert first.status == 0, first.err
    assert first.json["metrics"]["micro_f1"]["value"] > 0.9
    told = settings(*BRIEF, "quantize.max_drop=0.2", "quantize.engine=onnxruntime")
    second = command("quantize", "m/1", "--store", store, *told)
    assert second.status == 0, second.err
    assert "int8 changes micro_f1 by " in second.out
    return store


@pytest.fixture(scope="module")
def wanted(store):
    """As plain Transformers answers, with the bundle's temperature: probabilities of every label."""
    bundle = Store(store).bundle("m", 1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle.path / "checkpoint")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bundle.path / "checkpoint").eval()
    assert model.config.problem_type == "multi_label_classification"
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")).logits
    return torch.sigmoid(logits / bundle.manifest.decoding["temperature"]).numpy()


@pytest.fixture(scope="module")
def given(store, wanted):
    """The labels of each text, the most probable first."""
    bundle = Store(store).bundle("m", 1)
    limits, names = thresholds_of(bundle.manifest.decoding, bundle.manifest.labels), bundle.manifest.labels
    return [[names[at] for at in np.argsort(-row) if row[at] >= limits[at]] for row in wanted]


@pytest.fixture(scope="module")
def server(store):
    recipe = ServeRecipe(port=0, grpc_port=0, versions={"kind": "specific", "specific": [1]})
    with running_server(StoreCatalogue(Store(store)), recipe) as server:
        yield server


def test_a_version_keeps_its_thresholds_and_its_evidence(store):
    first, second = (Store(store).bundle("m", version).manifest for version in (1, 2))
    assert first.problem_type == second.problem_type == "multi_label_classification"
    assert {"temperature", "threshold", *(f"threshold/{label}" for label in LABELS)} == set(first.decoding)
    assert first.data["validation"].rows == 30, "held out by itself, for the thresholds"
    assert set(first.metrics) >= {"micro_f1", "macro_f1", "subset_accuracy", "expected_calibration_error"}
    assert first.metrics["macro_f1"].low <= first.metrics["macro_f1"].value <= first.metrics["macro_f1"].high
    assert second.metrics["agreement"].value > 0.9
    report = Store(store).bundle("m", 2).file("report.html").read_text("utf-8")
    assert "Subset accuracy" in report
    assert "体育" in report
    again = command("evaluate", "m/1", "--store", store, "--json")
    assert again.json["metrics"]["micro_f1"]["value"] == pytest.approx(first.metrics["micro_f1"].value)


def test_the_commands_answer_as_plain_transformers_does(store, data, wanted, given):
    answers = list(penjing.predict("m/1", TEXTS, store=store))
    np.testing.assert_allclose([one.probabilities for one in answers], wanted, atol=1e-5)
    assert [list(one.labels) for one in answers] == given
    assert {0, 2} <= {len(labels) for labels in given}
    lines = command("predict", "m/1", *TEXTS, "--store", store).out.splitlines()
    assert lines[given.index([])].startswith("-  ")
    for ending in ("jsonl", "csv", "parquet"):
        ran = command("predict", "m/1", "--data", data / "test.jsonl", "--output", data / f"out.{ending}", "--store",
                      store, "--probabilities")  # fmt: skip
        assert ran.status == 0, ran.err
    rows = [json.loads(line) for line in (data / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["labels"] for row in rows[:12]] == given
    with (data / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [json.loads(row["labels"]) for row in csv.DictReader(file)][:12] == given
    table = pyarrow.parquet.read_table(data / "out.parquet").to_pylist()
    assert [row["labels"] for row in table[:12]] == given
    assert dict(table[0]["probabilities"]) == pytest.approx(dict(zip(sorted(LABELS), wanted[0], strict=True)), abs=1e-5)


def test_every_dialect_gives_the_same(server, wanted, given):
    with httpx.Client(base_url=server.url) as client:
        for prefix in ("", "/tfs", "/kserve"):
            reply = client.post(f"{prefix}/v1/models/m:predict", json={"instances": TEXTS}).json()["predictions"]
            assert [row["labels"] for row in reply] == given
            np.testing.assert_allclose([row["probabilities"] for row in reply], wanted, atol=1e-5)
        columns = client.post("/v1/models/m:predict", json={"inputs": TEXTS}).json()["outputs"]
        assert columns["labels"] == given
        classified = client.post("/v1/models/m:classify", json={"examples": [{"text": text} for text in TEXTS]}).json()
        np.testing.assert_allclose([[score for _, score in row] for row in classified["results"]], wanted, atol=1e-5)
        body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [12], "data": TEXTS}]}
        outputs = {one["name"]: one for one in client.post("/v2/models/m/infer", json=body).json()["outputs"]}
        ranked = client.post("/tei/predict", json={"inputs": [[text] for text in TEXTS]}).json()
        told = client.get("/v2/models/m").json()["outputs"]
        metadata = client.get("/v1/models/m/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert [json.loads(text) for text in outputs["labels"]["data"]] == given
    np.testing.assert_allclose(np.reshape(outputs["probabilities"]["data"], (12, 4)), wanted, atol=1e-5)
    assert [one["name"] for one in told] == ["labels", "probabilities", "logits"] == list(outputs)
    np.testing.assert_allclose([[one["score"] for one in row] for row in ranked], -np.sort(-wanted), atol=1e-5)
    assert set(metadata["text"]["outputs"]) == {"labels", "probabilities"}


def test_grpc_gives_the_same(server, wanted, given):
    with connected(server) as asking:
        told = asking.call(PREDICT, predict(inputs={"text": tensor(TEXTS, "string")}))
        inferred = asking.call(INFER, infer({"text": ("BYTES", TEXTS)}))
    assert [json.loads(text) for text in array_of(told.outputs["labels"])] == given
    np.testing.assert_allclose(array_of(told.outputs["probabilities"]), wanted, atol=1e-5)
    assert [one.name for one in inferred.outputs] == ["labels", "probabilities", "logits"]


def test_such_a_checkpoint_is_published_as_it_comes(store, tmp_path, wanted):
    source = Store(store).bundle("m", 1).path / "checkpoint"
    bundle = penjing.export(str(source), name="imported", store=tmp_path / "s", max_tokens=24)
    assert (bundle.manifest.problem_type, bundle.manifest.decoding) == ("multi_label_classification", {})
    answers = list(penjing.predict("imported", TEXTS, store=tmp_path / "s"))
    assert all((one.probabilities >= 0.5).sum() == len(one.labels) for one in answers)
    (found,) = transformers.pipeline("text-classification", model=str(source), top_k=None)([TEXTS[1]])
    best = {one["label"]: one["score"] for one in found}
    assert dict(zip(bundle.manifest.labels, answers[1].probabilities, strict=True)) == pytest.approx(best, abs=1e-4)


def test_labels_of_other_data_are_read_the_same_way(store, data, tmp_path):
    rows = [f'"{text}",{"|".join(labels)}' for text, labels in ROWS[300:340]]
    (tmp_path / "more.csv").write_text("\n".join(["text,labels", *rows]), "utf-8")
    told = settings("label_separator=|")
    judged = command("evaluate", "m/1", "--data", tmp_path / "more.csv", *told, "--store", store, "--json")
    assert judged.json["metrics"]["subset_accuracy"]["n"] == 40
    (tmp_path / "strange.csv").write_text("text,labels\nx,cars|boats\n", "utf-8")
    strange = command("evaluate", "m/1", "--data", tmp_path / "strange.csv", *told, "--store", store)
    assert strange.status == 1
    assert "'boats' (1 rows)" in strange.err
