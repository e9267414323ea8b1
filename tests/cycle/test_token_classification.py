"""Entities in a minute: train on CoNLL files, quantise, export, evaluate, predict, serve long texts in two scripts."""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict

import httpx
import numpy as np
import pytest
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import make_checkpoint
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.api.open_inference.tensors import unpack_bytes
from penjing.store import Store
from strange import STRANGE

PLACES = ("paris", "berlin", "quito", "北京", "上海")
PEOPLE = ("ann", "bob", "carla", "小明", "小红")
FILLERS = ("the", "saw", "near", "old", "today", "with", "我", "去", "看", "的")
QUICK = (
    "training.threads=1", "training.epochs=25", "training.batch_size=16", "training.learning_rate=5e-3",
    "training.dropout=0", "text.max_tokens=24", "text.stride=6",
)  # fmt: skip
BRIEF = ("measure.rounds=1", "measure.requests=4", "measure.clients=2")
TEXT = "bob saw the old paris today with 小明 near 北京 " * 12


def sentence(rng):
    """Lines of a sentence: fillers, and here and there a name of one or two words."""
    lines = []
    for _ in range(rng.randrange(4, 9)):
        kind = rng.choice(["O", "O", "O", "LOC", "PER"])
        if kind == "O":
            lines.append((rng.choice(FILLERS), "O"))
            continue
        words = [character for name in (rng.choice(PLACES if kind == "LOC" else PEOPLE),) for character in parts(name)]
        lines += [(word, f"{'B' if not at else 'I'}-{kind}") for at, word in enumerate(words)]
    return lines


def parts(name):
    return [name] if name.isascii() else list(name)


def write_conll(path, count, seed):
    rng = random.Random(seed)
    path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in sentence(rng)) for _ in range(count)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("entities")
    train, test = write_conll(folder / "train.conll", 240, 1), write_conll(folder / "test.conll", 60, 2)
    make_checkpoint(folder / "encoder", [line.split("\t")[0] for line in train.read_text().splitlines() if line] * 2)
    store = folder / "store"
    sources = ["--model", folder / "encoder", "--train", train, "--test", test, "--store", store]
    told = settings(*QUICK, *BRIEF, "data.on_leak=report")
    first = command("finetune", "--name", "names", "--task", "token-classification", *sources, *told, "--json")
    assert first.status == 0, first.err
    told = settings(*BRIEF, "quantize.max_drop=0.3", "quantize.engine=onnxruntime")
    second = command("quantize", "names/1", "--store", store, *told, "--json")
    assert second.status == 0, second.err
    return store, first.json, second.json, test


def test_a_version_says_how_good_it_is_at_entities(made):
    store, first, second, _ = made
    assert first["metrics"]["f1"]["value"] > 0.9
    assert first["metrics"]["export_difference"]["value"] < 1e-4
    assert set(second["metrics"]) >= {"f1", "precision", "recall", "f1_difference", "agreement"}
    manifest = Store(store).bundle("names", 1).manifest
    assert manifest.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (manifest.engine.reads, manifest.text.stride) == ("tokens", 6)
    report = Store(store).bundle("names", 2).file("report.html").read_text()
    assert "Mistakes by kind" in report
    assert "sentences with the same entities" in report


def test_evaluation_gives_the_figures_it_carries_and_judges_other_data(made, tmp_path):
    store, first, _, test = made
    again = command("evaluate", "names/1", "--store", store, "--json")
    assert again.json["metrics"]["f1"]["value"] == first["metrics"]["f1"]["value"]
    other = command("evaluate", "names/1", "--data", test, "--store", store, "--report", tmp_path / "r.html")
    assert other.status == 0, other.err
    assert "recall" in other.out


def test_transformers_opens_the_checkpoint(made):
    store, *_ = made
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        Store(store).bundle("names", 1).path / "checkpoint"
    )
    assert model.config.id2label[1] == "B-LOC"


def test_long_texts_in_two_scripts_are_answered_alike_everywhere(made):
    store, *_ = made
    (told,) = penjing.predict("names/1", [TEXT], store=store)
    assert [one.text for one in told[:4]] == ["bob", "paris", "小明", "北京"]
    assert len(told) == 48
    assert all(TEXT[one.start : one.end] == one.text for one in told)
    recipe = ServeRecipe(port=0, versions={"kind": "all"})
    with (
        running_server(StoreCatalogue(Store(store)), recipe) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        reply = client.post("/v1/models/names/versions/1:predict", json={"instances": [TEXT, "the", "去"]})
        assert reply.status_code == 200, reply.text
        first, *rest = reply.json()["predictions"]
        metadata = client.get("/v1/models/names/versions/1/metadata").json()
    assert [(one["label"], one["start"], one["end"]) for one in first] == [(e.label, e.start, e.end) for e in told]
    assert rest == [[], []]
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert [dim["size"] for dim in signatures["serving_default"]["outputs"]["logits"]["tensor_shape"]["dim"]] == [
        "-1",
        "-1",
        "5",
    ]
    assert set(signatures) == {"serving_default", "text"}


def test_the_other_dialects_answer_entities_too(made):
    store, *_ = made
    told = [asdict(one) for one in next(penjing.predict("names/2", ["bob saw 北京"], store=store))]
    with (
        running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["bob saw 北京"]}]}
        (output,) = client.post("/v2/models/names/infer", json=body).json()["outputs"]
        ids = {"name": "input_ids", "datatype": "INT64", "shape": [2, 4], "data": [2, 9, 3, 0, 2, 9, 8, 3]}
        mask = {"name": "attention_mask", "datatype": "INT64", "shape": [2, 4], "data": [1, 1, 1, 0, 1, 1, 1, 1]}
        (logits,) = client.post("/v2/models/names/infer", json={"inputs": [ids, mask]}).json()["outputs"]
        odd = client.post("/v2/models/names/infer", json=body | {"outputs": [{"name": "label"}]})
        outputs = client.get("/v2/models/names").json()["outputs"]
        tagged = client.post("/tei/predict", json={"inputs": "bob saw 北京"}).json()
        spelled = client.post("/tei/tokenize", json={"inputs": "bob 北京"}).json()
    found = json.loads(output["data"][0])
    for one in (found, tagged):
        assert [entity | {"score": 0} for entity in one] == [entity | {"score": 0} for entity in told]
    assert (output["name"], output["shape"]) == ("entities", [1])
    assert (logits["name"], logits["shape"]) == ("logits", [2, 4, 5])
    assert logits["data"][15:20] == [0] * 5
    assert odd.status_code == 400
    assert "expected one of entities" in odd.json()["error"]
    assert [(one["name"], one["shape"]) for one in outputs] == [("entities", [-1]), ("logits", [-1, -1, 5])]
    assert [token["text"] for token in spelled[0] if not token["special"]] == ["bob", "北", "京"]


def test_grpc_answers_as_rest_does(made):
    store, *_ = made
    ids = {"input_ids": [[2, 9, 3, 0], [2, 9, 8, 3]], "attention_mask": [[1, 1, 1, 0], [1, 1, 1, 1]]}
    texts = ["bob saw 北京", "the"]
    recipe = ServeRecipe(port=0, grpc_port=0)
    with running_server(StoreCatalogue(Store(store)), recipe) as server, connected(server) as client:
        url = f"{server.url}/v1/models/names:predict"
        found = httpx.post(url, json={"inputs": {"text": texts}}).json()["outputs"]
        logits = httpx.post(url, json={"inputs": ids}).json()["outputs"]
        asked = predict(inputs={"text": tensor(texts, "string")}, model="names")
        tagged = array_of(client.call(PREDICT, asked).outputs["entities"])
        asked = predict(inputs={name: tensor(own) for name, own in ids.items()}, model="names")
        spread = array_of(client.call(PREDICT, asked).outputs["logits"])
        inferred = client.call(INFER, infer({"text": ("BYTES", texts)}, model="names"))
    assert [json.loads(one) for one in tagged] == found
    np.testing.assert_allclose(spread, logits, atol=1e-4)
    assert spread[0][3] == [0] * 5
    assert (inferred.outputs[0].name, list(inferred.outputs[0].shape)) == ("entities", [2])
    content = memoryview(inferred.raw_output_contents[0])
    assert [json.loads(one) for one in unpack_bytes(content, 2, name="entities")] == found


def test_token_ids_give_logits_in_the_places_they_came_in(made):
    store, *_ = made
    body = {"instances": [{"input_ids": [2, 9, 3, 0], "attention_mask": [1, 1, 1, 0]},
                          {"input_ids": [2, 9, 8, 3], "attention_mask": [1, 1, 1, 1]}]}  # fmt: skip
    with running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0)) as server:
        reply = httpx.post(f"{server.url}/v1/models/names/versions/2:predict", json=body)
        assert reply.status_code == 200, reply.text
        one, other = reply.json()["predictions"]
        columns = {"inputs": {name: [row[name] for row in body["instances"]] for name in body["instances"][0]}}
        whole = httpx.post(f"{server.url}/v1/models/names/versions/2:predict", json=columns).json()["outputs"]
    assert one[3] == [0, 0, 0, 0, 0]
    assert all(any(value) for value in (*one[:3], *other))
    assert whole[0][3] == one[3]
    np.testing.assert_allclose(whole, [one, other], atol=1e-4)


def test_people_get_a_line_a_text(made):
    store, *_ = made
    ran = command("predict", "names/1", "bob saw 北京", "the old", "--store", store)
    assert ran.out.splitlines() == ["PER: bob, LOC: 北京  bob saw 北京", "-  the old"]
    ran = command("predict", "names/1", "bob saw 北京", "--store", store, "--json")
    assert [one["label"] for one in ran.json["entities"]] == ["PER", "LOC"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("b", 0), ("bob " * 3000, 3000), ("🙂 bob \u202e paris", 2), ("x" * 10_000, 0), ("bob\n\n\tparis", 2)],
)
def test_texts_of_every_kind(made, text, found):
    store, *_ = made
    (answer,) = penjing.predict("names/1", [text], store=store)
    assert len(answer) >= found * 0.9
    assert all(text[one.start : one.end] == one.text for one in answer)


def test_strange_texts_have_their_answers(made):
    store, *_ = made
    told = list(penjing.predict("names/1", STRANGE, store=store))
    for text, answer in zip(STRANGE, told, strict=True):
        assert all(text[one.start : one.end] == one.text for one in answer)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("bob B-PER\nsaw\n", "and no tag"),
        ("bob PER\n", "is no tag"),
        ("bob O\n\nsaw O\n\nthe O\n", "no row of .* has an entity"),
        ("", "has no rows"),
    ],
)
def test_mistakes_in_the_data_are_told_and_nothing_is_registered(made, tmp_path, content, said):
    store, *_ = made
    bad = tmp_path / "bad.conll"
    bad.write_text(content)
    model = Store(store).bundle("names", 1).path / "checkpoint"
    ran = command("finetune", "--name", "bad", "--task", "token-classification", "--model", model, "--train", bad,
                  "--store", tmp_path / "s", *settings(*QUICK))  # fmt: skip
    assert ran.status == 1
    assert re.search(said, ran.err)
    assert not (tmp_path / "s" / "bad").exists()
