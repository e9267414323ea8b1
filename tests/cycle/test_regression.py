"""A number a text, or a pair: train, quantise, judge, predict, and ask in every dialect."""

from __future__ import annotations

import json
import random

import httpx
import numpy as np
import pytest
import torch
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import BRIEF, FILLERS, KEYWORDS, UNMEASURED, shared_world
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

NUMBER = "data.problem_type=regression"


def priced(count, *, seed):
    """Distinct (text, number): how many of its words are of the kitchen, in hundreds and far from zero."""
    rng, rows = random.Random(seed), {}
    while len(rows) < count:
        many = len(rows) % 4
        words = rng.choices(KEYWORDS["美食"], k=many) + rng.choices(FILLERS["美食"], k=rng.randrange(2, 6))
        rng.shuffle(words)
        rows["".join(words)] = 5000 + 100 * many
    return list(rows.items())


ROWS = priced(300, seed=3)
TEXTS = [text for text, _ in ROWS[240:248]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    for name, rows in (("train", ROWS[:240]), ("test", ROWS[240:])):
        lines = [json.dumps({"text": text, "score": number}, ensure_ascii=False) for text, number in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    world, store = shared_world(tmp_path_factory), data / "store"
    first = command("finetune", "--name", "m", "--model", world.checkpoint, "--train", data / "train.jsonl", "--test",
                    data / "test.jsonl", "--store", store, "--json", *settings(NUMBER, *UNMEASURED))  # fmt: skip
    assert first.status == 0, first.err
    metrics = first.json["metrics"]
    assert metrics["r2"]["value"] > 0.9
    assert metrics["rmse"]["value"] < 40, "in the numbers' own unit"
    assert set(metrics) == {"r2", "pearson", "spearman", "mae", "rmse", "export_difference"}
    told = settings(*BRIEF, "quantize.max_drop=0.2", "quantize.engine=onnxruntime")
    second = command("quantize", "m/1", "--store", store, *told)
    assert second.status == 0, second.err
    assert "int8 changes r2 by " in second.out
    return store


@pytest.fixture(scope="module")
def wanted(store):
    """As plain Transformers answers."""
    source = Store(store).bundle("m", 1).path / "checkpoint"
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source).eval()
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    with torch.no_grad():
        encoded = tokenizer(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")
        return model(**encoded).logits[:, 0].numpy()


@pytest.fixture(scope="module")
def server(store):
    recipe = ServeRecipe(port=0, grpc_port=0, versions={"kind": "specific", "specific": [1]})
    with running_server(StoreCatalogue(Store(store)), recipe) as server:
        yield server


def test_the_commands_answer_as_plain_transformers_does(store, wanted, tmp_path):
    assert wanted.min() > 4900
    answers = [one.score for one in penjing.predict("m/1", TEXTS, store=store)]
    np.testing.assert_allclose(answers, wanted, rtol=1e-5)
    command("predict", "m/1", *TEXTS, "--store", store, "--output", tmp_path / "numbers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "numbers.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([row["score"] for row in rows], wanted, rtol=1e-5)
    assert command("predict", "m/1", TEXTS[0], "--store", store).out.split()[0] == f"{answers[0]:.4g}"
    report = Store(store).bundle("m", 2).file("report.html").read_text("utf-8")
    assert "Root mean squared error" in report
    assert Store(store).bundle("m", 2).manifest.metrics["agreement"].value > 0.9
    again = command("evaluate", "m/1", "--store", store)
    assert "R²" in again.out


def test_every_dialect_gives_the_same(server, wanted):
    with httpx.Client(base_url=server.url) as client:
        for prefix in ("", "/kserve"):
            reply = client.post(f"{prefix}/v1/models/m:predict", json={"instances": TEXTS}).json()
            np.testing.assert_allclose(reply["predictions"], wanted, rtol=1e-5)
        body = {"examples": [{"text": text} for text in TEXTS]}
        np.testing.assert_allclose(client.post("/v1/models/m:regress", json=body).json()["results"], wanted, rtol=1e-5)
        refused = client.post("/v1/models/m:classify", json=body)
        asked = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [8], "data": TEXTS}]}
        outputs = client.post("/v2/models/m/infer", json=asked).json()["outputs"]
        ranked = client.post("/tei/predict", json={"inputs": [[text] for text in TEXTS]}).json()
    assert refused.status_code == 400
    assert [(one["name"], one["shape"]) for one in outputs] == [("score", [8]), ("logits", [8, 1])]
    np.testing.assert_allclose(outputs[0]["data"], wanted, rtol=1e-5)
    np.testing.assert_allclose([row[0]["score"] for row in ranked], wanted, rtol=1e-5)
    assert ranked[0][0]["label"] == "score"


def test_grpc_gives_the_same(server, wanted):
    with connected(server) as asking:
        told = asking.call(PREDICT, predict(inputs={"text": tensor(TEXTS, "string")}))
        inferred = asking.call(INFER, infer({"text": ("BYTES", TEXTS)}))
    np.testing.assert_allclose(array_of(told.outputs["score"]), wanted, rtol=1e-5)
    np.testing.assert_allclose(np.frombuffer(inferred.raw_output_contents[0], "<f4"), wanted, rtol=1e-5)


def test_training_goes_on_from_a_head_that_gives_numbers(store, data, tmp_path):
    source = Store(store).bundle("m", 1).path / "checkpoint"
    more = command("finetune", "--name", "m", "--model", source, "--train", data / "train.jsonl", "--test", data /
                   "test.jsonl", "--store", tmp_path / "s", "--json",
                   *settings(NUMBER, *UNMEASURED, "training.epochs=0.2", "training.learning_rate=1e-5"))  # fmt: skip
    assert more.status == 0, more.err
    before = Store(store).bundle("m", 1).manifest.metrics["rmse"].value
    assert more.json["metrics"]["rmse"]["value"] == pytest.approx(before, rel=0.3)


def test_adapters_learn_numbers_too(data, tmp_path, tmp_path_factory):
    world = shared_world(tmp_path_factory)
    ran = command("finetune", "--name", "m", "--model", world.checkpoint, "--train", data / "train.jsonl", "--test",
                  data / "test.jsonl", "--store", tmp_path / "s", "--json",
                  *settings(NUMBER, *UNMEASURED, "training.delta.method=lora", "training.delta.rank=4"))  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.json["metrics"]["r2"]["value"] > 0.8


def test_pairs_are_scored(tmp_path, tmp_path_factory):
    world, rng = shared_world(tmp_path_factory), random.Random(4)
    rows = []
    for _ in range(160):
        one, other = rng.choice(KEYWORDS["体育"]), rng.choice(KEYWORDS["体育"])
        rows.append({"sentence1": f"我看{one}", "sentence2": f"新{other}", "score": 4.5 if one == other else 0.5})
    train = tmp_path / "pairs.jsonl"
    train.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    ran = command("finetune", "--name", "alike", "--model", world.checkpoint, "--train", train, "--store",
                  tmp_path / "s", "--json", *settings(NUMBER, *UNMEASURED, "training.epochs=1"))  # fmt: skip
    assert ran.status == 0, ran.err
    answers = [one.score for one in penjing.predict("alike", [("我看足球", "新足球")], store=tmp_path / "s")]
    assert np.isfinite(answers).all()
