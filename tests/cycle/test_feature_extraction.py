"""Embeddings in a minute: publish an encoder, teach it pairs in two scripts, quantise, judge, predict, serve."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import time

import httpx
import numpy as np
import openai
import pytest
import torch
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import BRIEF, make_checkpoint
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.versions import State
from penjing.store import Store
from strange import STRANGE

WORDS = "red cat rain book fish moon tree salt milk door ship king bird snow wine fire"
TOPICS = dict(zip(WORDS.split(), "红猫雨书鱼月树盐奶门船王鸟雪酒火", strict=True))
ENGLISH = ("the", "we", "saw", "a", "new", "old", "today", "with", "some", "very", "there", "was")
CHINESE = "我们今天很的在看好新有了"
QUICK = ("training.threads=1", "training.epochs=10", "training.batch_size=16", "training.learning_rate=5e-3",
         "training.dropout=0", "text.max_tokens=24")  # fmt: skip
TEXTS = ["the red door", "今天看雪", "we saw a fish 🙂 with salt", "old"]


def english(rng, topic):
    words = [*rng.sample(ENGLISH, rng.randrange(2, 6)), topic]
    rng.shuffle(words)
    return " ".join(words)


def chinese(rng, topic):
    characters = [*rng.sample(CHINESE, rng.randrange(2, 6)), TOPICS[topic]]
    rng.shuffle(characters)
    return "".join(characters)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pairs"), random.Random(3)

    def pair(topic, **names):
        return {"anchor": english(rng, topic), "positive": chinese(rng, topic)}

    train = [pair(topic) for _ in range(20) for topic in TOPICS]
    test = [pair(topic) for topic in TOPICS]
    scored = [
        {"text1": english(rng, one), "text2": chinese(rng, other), "score": 5.0 if one == other else rng.random()}
        for one in TOPICS
        for other in (one, rng.choice(list(TOPICS)))
    ]
    make_checkpoint(folder / "encoder", [text for row in train for text in row.values()])
    texts = [{"text": text} for row in train[:80] for text in row.values()]
    for name, rows in {"train": train, "test": test, "scored": scored, "texts": texts}.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def made(data):
    store = data / "store"
    plain = command("export", data / "encoder", "--name", "plain", "--store", store, "--json")
    assert plain.status == 0, plain.err
    sources = ["--model", data / "encoder", "--train", data / "train.jsonl", "--test", data / "test.jsonl"]
    first = command("finetune", "--name", "words", "--task", "feature-extraction", *sources, "--store", store,
                    *settings(*QUICK, "measure=null"), "--json")  # fmt: skip
    assert first.status == 0, first.err
    told = settings(*BRIEF, "quantize.max_drop=0.3", "quantize.engine=onnxruntime")
    second = command("quantize", "words/1", "--store", store, *told, "--json")
    assert second.status == 0, second.err
    return store, first.json, second.json


@pytest.fixture(scope="module")
def server(made):
    recipe = ServeRecipe(port=0, grpc_port=0, versions={"kind": "all"})
    with running_server(StoreCatalogue(Store(made[0])), recipe) as server:
        while not all(version.state is State.AVAILABLE for version in server.plane.models.all()):
            time.sleep(0.01)  # it is ready with one version of each model
        yield server


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url) as asking:
        yield asking


def reference(checkpoint, texts):
    """As sentence-transformers computes it: the mean over the mask, normalised; by plain Transformers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModel.from_pretrained(checkpoint).eval()
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"][:, :, None]
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    return hidden.numpy(), pooled.numpy(), torch.nn.functional.normalize(pooled, dim=1).numpy()


@pytest.fixture(scope="module")
def expected(made):
    return reference(Store(made[0]).bundle("words", 1).path / "checkpoint", TEXTS)


def test_training_makes_pairs_near(made, data):
    store, first, second = made
    before = command("evaluate", "plain", "--data", data / "test.jsonl", "--store", store, "--json").json["metrics"]
    assert before["mrr"]["value"] < 0.5
    assert first["metrics"]["mrr"]["value"] > 0.7
    assert first["metrics"]["recall_at_1"]["low"] < first["metrics"]["recall_at_1"]["value"]
    assert first["metrics"]["export_difference"]["value"] < 1e-4
    assert set(second["metrics"]) == {"mrr", "recall_at_1", "mrr_difference", "agreement"}
    assert second["metrics"]["agreement"]["value"] > 0.95
    assert command("evaluate", "words/1", "--store", store, "--json").json["metrics"]["mrr"] == first["metrics"]["mrr"]


def test_a_version_says_what_it_makes_of_a_text(made):
    store, *_ = made
    manifest = Store(store).bundle("words", 2).manifest
    assert manifest.embedding.model_dump() == {"pooling": "mean", "normalised": True, "size": 32}
    assert (manifest.labels, manifest.engine.reads) == ((), "mean")
    report = Store(store).bundle("words", 2).file("report.html").read_text()
    assert "Mean reciprocal rank" in report
    assert "mean cosine of the two vectors" in report
    notes = Store(store).bundle("plain").manifest.notes
    assert any("does not say how texts are pooled" in note for note in notes)
    modules = json.loads((Store(store).bundle("words", 1).path / "checkpoint/modules.json").read_text())
    assert [one["type"].rpartition(".")[2] for one in modules] == ["Transformer", "Pooling", "Normalize"]


def test_scores_are_learnt_and_judged_by_their_order(made, data):
    store, *_ = made
    judged = command("evaluate", "words/1", "--data", data / "scored.jsonl", "--store", store, "--report",
                     data / "r.html")  # fmt: skip
    assert "Spearman's ρ" in judged.out
    assert "pairs" in judged.out
    sources = ["--model", data / "encoder", "--train", data / "scored.jsonl", "--test", data / "scored.jsonl"]
    ran = command("finetune", "--name", "scored", "--task", "feature-extraction", *sources, "--store",
                  data / "other", *settings(*QUICK, "data.on_leak=report", "measure=null"), "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.json["metrics"]["spearman"]["value"] > 0.7


def test_an_encoder_that_was_published_is_quantised_on_texts(made, data):
    store, *_ = made
    told = settings(*BRIEF, "quantize.max_drop=0.1", "quantize.engine=onnxruntime")
    bare = command("quantize", "plain", "--store", store, *told)
    assert bare.status == 2
    assert "give --data" in bare.err
    ran = command("quantize", "plain", "--data", data / "texts.jsonl", "--store", store, *told)
    assert ran.status == 0, ran.err
    assert "int8 changes cosine by -0." in ran.out
    assert re.search(r"the mean cosine of its vectors and those of fp32 is [01]\.\d{4} \[0\.99", ran.out)
    refused = command("quantize", "plain/1", "--data", data / "texts.jsonl", "--store", store,
                      *settings(*BRIEF, "quantize.max_drop=0", "quantize.engine=onnxruntime"))  # fmt: skip
    assert refused.status == 1
    assert "difference in cosine" in refused.err


def test_the_commands_give_what_plain_transformers_gives(made, data, expected):
    store, *_ = made
    told = np.stack(list(penjing.predict("words/1", TEXTS, store=store)))
    np.testing.assert_allclose(told, expected[2], atol=1e-5)
    command("predict", "words/1", *TEXTS, "--store", store, "--output", data / "vectors.jsonl")
    lines = [json.loads(line) for line in (data / "vectors.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([line["embedding"] for line in lines], expected[2], atol=1e-5)
    assert all(
        np.isclose(np.linalg.norm(one), 1, atol=1e-5) for one in penjing.predict("words/1", STRANGE, store=store)
    )
    assert "32 numbers]  the red door" in command("predict", "words/1", "the red door", "--store", store).out


def test_tei_gives_what_plain_transformers_gives(client, expected):
    hidden, pooled, unit = expected
    query = "/embed?model=words/1"
    np.testing.assert_allclose(client.post(query, json={"inputs": TEXTS}).json(), unit, atol=1e-5)
    np.testing.assert_allclose(client.post(query, json={"inputs": TEXTS[0]}).json(), unit[:1], atol=1e-5)
    raw = client.post(query, json={"inputs": TEXTS, "normalize": False}).json()
    np.testing.assert_allclose(raw, pooled, atol=1e-5)
    short = np.array(client.post(query, json={"inputs": TEXTS, "dimensions": 8}).json())
    np.testing.assert_allclose(short, unit[:, :8] / np.linalg.norm(unit[:, :8], axis=1, keepdims=True), atol=1e-5)
    every = client.post("/embed_all?model=words/1", json={"inputs": TEXTS}).json()
    for row, text in enumerate(every):
        np.testing.assert_allclose(text, hidden[row, : len(text)], atol=1e-5)
    asked = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}}
    alike = client.post("/similarity?model=words/1", json=asked).json()
    np.testing.assert_allclose(alike, unit[1:] @ unit[0], atol=1e-5)
    info = client.get("/info?model=words/1").json()
    assert (info["model_type"], info["max_input_length"]) == ({"embedding": {"pooling": "mean"}}, 24)


def test_means_and_tokens_asked_at_once_do_not_mix(client, expected):
    async def ask():
        async with httpx.AsyncClient(base_url=client.base_url) as many:
            paths = ["/embed?model=words/1", "/embed_all?model=words/1"] * 8
            return await asyncio.gather(*(many.post(path, json={"inputs": TEXTS}) for path in paths))

    replies = [reply.json() for reply in asyncio.run(ask())]
    for one, every in zip(replies[::2], replies[1::2], strict=True):
        np.testing.assert_allclose(one, expected[2], atol=1e-5)
        assert [np.shape(text)[1] for text in every] == [32] * len(TEXTS)
        np.testing.assert_allclose(every[0], expected[0][0, : len(every[0])], atol=1e-5)


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
def test_openais_own_client_gets_what_plain_transformers_gives(client, expected, base):
    with openai.OpenAI(base_url=f"{client.base_url}{base}", api_key="none", max_retries=0) as asking:
        given = asking.embeddings.create(model="words/1", input=TEXTS)  # asks for base64 by itself
        np.testing.assert_allclose([one.embedding for one in given.data], expected[2], atol=1e-5)
        assert [one.index for one in given.data] == [0, 1, 2, 3]
        assert given.usage.prompt_tokens == given.usage.total_tokens > len(TEXTS)
        assert given.model == "words/1"
        as_numbers = asking.embeddings.create(model="words", input=TEXTS[1], encoding_format="float", dimensions=4)
        assert len(as_numbers.data[0].embedding) == 4
        assert np.linalg.norm(as_numbers.data[0].embedding) == pytest.approx(1, abs=1e-5)
        ids = asking.embeddings.create(model="words/1", input=[[2, 9, 3], [2, 8, 7, 3]])
        assert ids.usage.prompt_tokens == 7
        with pytest.raises(openai.NotFoundError, match="The model 'absent' does not exist") as absent:
            asking.embeddings.create(model="absent", input="a")
        assert absent.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError, match="dimensions is 33; expected 1 to 32") as wide:
            asking.embeddings.create(model="words", input="a", dimensions=33)
        assert wide.value.param == "dimensions"
        assert {model.id for model in asking.models.list()} == {"plain", "words"}


def test_the_other_dialects_give_the_same_vectors(client, expected):
    row = client.post("/v1/models/words/versions/1:predict", json={"instances": TEXTS}).json()["predictions"]
    np.testing.assert_allclose(row, expected[2], atol=1e-5)
    column = {"inputs": {"input_ids": [[2, 9, 3, 0]], "attention_mask": [[1, 1, 1, 0]]}}
    (whole,) = client.post("/v1/models/words/versions/1:predict", json=column).json()["outputs"]
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [4], "data": TEXTS}]}
    (output,) = client.post("/v2/models/words/versions/1/infer", json=body).json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("embedding", "FP32", [4, 32])
    np.testing.assert_allclose(np.reshape(output["data"], (4, 32)), expected[2], atol=1e-5)
    ids = {"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 3], "data": [2, 9, 3]}]}
    (output,) = client.post("/v2/models/words/versions/1/infer", json=ids).json()["outputs"]
    np.testing.assert_allclose(output["data"], whole, atol=1e-5)
    kserve = client.post("/kserve/v1/models/plain:predict", json={"instances": TEXTS}).json()
    assert np.shape(kserve["predictions"]) == (4, 32)
    metadata = client.get("/v1/models/words/versions/1/metadata").json()["metadata"]["signature_def"]["signature_def"]
    for name in ("serving_default", "text"):
        assert [dim["size"] for dim in metadata[name]["outputs"]["embedding"]["tensor_shape"]["dim"]] == ["-1", "32"]
    outputs = client.get("/v2/models/words").json()["outputs"]
    assert outputs == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 32]}]


def test_grpc_gives_the_same_vectors(server, expected):
    with connected(server) as asking:
        told = asking.call(PREDICT, predict(inputs={"text": tensor(TEXTS, "string")}, model="words", version=1))
        inferred = asking.call(INFER, infer({"text": ("BYTES", TEXTS)}, model="words", model_version="1"))
    np.testing.assert_allclose(array_of(told.outputs["embedding"]), expected[2], atol=1e-5)
    assert (inferred.outputs[0].name, list(inferred.outputs[0].shape)) == ("embedding", [4, 32])
    content = np.frombuffer(inferred.raw_output_contents[0], "<f4")
    np.testing.assert_allclose(content, expected[2].ravel(), atol=1e-5)


def test_many_long_texts_come_back_in_order(client):
    texts = [f"{'the ' * (number % 40)}{topic}" for number, topic in enumerate(list(TOPICS) * 60)]
    reply = client.post("/v1/embeddings", json={"model": "words/1", "input": texts, "encoding_format": "base64"})
    assert reply.status_code == 200
    given = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in reply.json()["data"]]
    alone = client.post("/v1/embeddings", json={"model": "words/1", "input": texts[777]}).json()["data"][0]["embedding"]
    np.testing.assert_allclose(given[777], alone, atol=1e-5)
    assert len(given) == len(texts)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text1": "a", "text2": "b", "score": "high"}, "expected a number"),
        ({"text1": "a", "text2": "b", "score": None}, "without a label"),
        ({"text": "a"}, "has texts alone"),
        ({"words": "a"}, "no column that looks like the text"),
    ],
)
def test_mistakes_in_the_data_are_told_and_nothing_is_registered(data, tmp_path, row, said):
    write_jsonl(bad := tmp_path / "bad.jsonl", [row, dict(row) | ({"text": "b"} if "text" in row else {})])
    ran = command("finetune", "--name", "bad", "--task", "feature-extraction", "--model", data / "encoder",
                  "--train", bad, "--store", tmp_path / "s", *settings(*QUICK))  # fmt: skip
    assert ran.status == 1
    assert said in ran.err
    assert not (tmp_path / "s" / "bad").exists()
