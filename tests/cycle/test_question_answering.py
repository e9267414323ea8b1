"""Answers in a minute: train on SQuAD's form, quantise, evaluate, predict, serve long contexts in two scripts."""

from __future__ import annotations

import json
import re

import httpx
import numpy as np
import pytest
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import make_checkpoint
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from cycle.questions import WORDS, write_squad
from penjing.core.errors import DataError, InvalidRequestError
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.api.open_inference.tensors import unpack_bytes
from penjing.store import Store
from strange import STRANGE

QUICK = (
    "training.threads=1", "training.epochs=20", "training.batch_size=16", "training.learning_rate=5e-3",
    "training.dropout=0", "text.max_tokens=32", "text.stride=8",
)  # fmt: skip
BRIEF = ("measure.rounds=1", "measure.requests=4", "measure.clients=2")
CONTEXT = "the old saw today with the near 我 看 的 " * 6 + "carla lee saw 北京 " + "the old 又 today with the " * 6
QUESTION = "who was it"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    train, test = write_squad(folder / "train.json", 300, 1), write_squad(folder / "test.json", 80, 2)
    make_checkpoint(folder / "encoder", [WORDS] * 9)
    store = folder / "store"
    sources = ["--model", folder / "encoder", "--train", train, "--test", test, "--store", store]
    told = settings(*QUICK, *BRIEF, "data.on_leak=report")
    first = command("finetune", "--name", "reader", "--task", "question-answering", *sources, *told, "--json")
    assert first.status == 0, first.err
    told = settings(*BRIEF, "quantize.max_drop=0.3", "quantize.engine=onnxruntime")
    second = command("quantize", "reader/1", "--store", store, *told, "--json")
    assert second.status == 0, second.err
    return store, first.json, second.json, test


def test_a_version_says_how_good_its_answers_are(made):
    store, first, second, _ = made
    assert first["metrics"]["f1"]["value"] > 0.9
    assert first["metrics"]["no_answer_accuracy"]["value"] > 0.8
    assert first["metrics"]["export_difference"]["value"] < 1e-4
    assert set(second["metrics"]) >= {"f1", "exact_match", "has_answer_f1", "f1_difference", "agreement"}
    manifests = [Store(store).bundle("reader", version).manifest for version in (1, 2)]
    assert manifests[0].labels == ("start", "end")
    assert (manifests[0].engine.reads, manifests[0].text.stride) == ("tokens", 8)
    assert set(manifests[0].decoding) == {"max_answer_tokens", "no_answer_threshold", "temperature"}
    assert set(manifests[0].decoding) == set(manifests[1].decoding)
    assert set(manifests[0].data) == {"train", "validation", "test"}
    report = Store(store).bundle("reader", 2).file("report.html").read_text()
    assert "Answers by outcome" in report
    assert "Exact match of int8" in report


def test_evaluation_gives_the_figures_it_carries_and_judges_other_data(made, tmp_path):
    store, first, _, test = made
    again = command("evaluate", "reader/1", "--store", store, "--json")
    assert again.json["metrics"]["f1"]["value"] == first["metrics"]["f1"]["value"]
    flat = tmp_path / "flat.jsonl"
    rows = [
        {"question": one["question"], "context": paragraph["context"], "answers": one["answers"]}
        for paragraph in json.loads(test.read_text())["data"][0]["paragraphs"]
        for one in paragraph["qas"]
    ]
    flat.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = command("evaluate", "reader/1", "--data", flat, "--store", store, "--report", tmp_path / "r.html")
    assert other.status == 0, other.err
    assert "exact match, with an answer" in other.out
    assert "questions" in other.out


def test_transformers_opens_the_checkpoint(made):
    store, *_ = made
    path = Store(store).bundle("reader", 1).path / "checkpoint"
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(path)
    assert model.qa_outputs.out_features == 2


PAIRS = [
    (QUESTION, CONTEXT),
    ("哪里", CONTEXT),
    ("where was it", "小明 saw the old bob"),
    ("谁去", "我 看 小明 又 看 北京"),
]
TOLD = ["carla lee", "北京", "", "小明"]


def test_long_contexts_in_two_scripts_are_answered_alike_everywhere(made):
    store, *_ = made
    told = list(penjing.predict("reader/1", PAIRS, store=store))
    assert [one.answer for one in told] == TOLD
    assert all(context[one.start : one.end] == one.answer for (_, context), one in zip(PAIRS, told, strict=True))
    assert all(one.score > 0.5 for one in told)
    instances = [{"question": question, "context": context} for question, context in PAIRS]
    recipe = ServeRecipe(port=0, versions={"kind": "all"})
    with (
        running_server(StoreCatalogue(Store(store)), recipe) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        address = "/v1/models/reader/versions/1"
        reply = client.post(f"{address}:predict", json={"instances": instances})
        assert reply.status_code == 200, reply.text
        pairs = [{"text": question, "text_pair": context} for question, context in PAIRS]
        same = client.post(f"{address}:predict", json={"instances": pairs}).json()
        columns = {name: [one[name] for one in instances] for name in ("question", "context")}
        whole = client.post(f"{address}:predict", json={"inputs": columns}).json()["outputs"]
        kserve = client.post("/kserve/v1/models/reader:predict", json={"instances": instances}).json()
        metadata = client.get(f"{address}/metadata").json()["metadata"]["signature_def"]["signature_def"]
    predictions = reply.json()["predictions"]
    assert [set(one) for one in predictions] == [{"answer", "start", "end", "score", "no_answer"}] * 4
    assert [(one["answer"], one["start"], one["end"]) for one in predictions] == [
        (one.answer, one.start, one.end) for one in told
    ]
    np.testing.assert_allclose([one["no_answer"] for one in predictions], [one.no_answer for one in told], atol=1e-4)
    assert [one["answer"] for one in same["predictions"]] == whole["answer"] == TOLD
    assert [one["answer"] for one in kserve["predictions"]] == TOLD
    assert set(metadata) == {"serving_default", "text"}
    assert set(metadata["text"]["inputs"]) == {"question", "context"}
    logits = metadata["serving_default"]["outputs"]["logits"]["tensor_shape"]["dim"]
    assert [dim["size"] for dim in logits] == ["-1", "-1", "2"]


def test_the_other_dialects_answer_questions_too(made):
    store, *_ = made
    (told,) = penjing.predict("reader/2", [PAIRS[3]], store=store)
    question, context = PAIRS[3]

    def infer(**texts):
        sent = [{"name": name, "datatype": "BYTES", "shape": [1], "data": [text]} for name, text in texts.items()]
        return client.post("/v2/models/reader/infer", json={"inputs": sent})

    with (
        running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        (output,) = infer(question=question, context=context).json()["outputs"]
        (same,) = infer(text=question, text_pair=context).json()["outputs"]
        single, half = infer(question=question), infer(context=context)
        ids = {"name": "input_ids", "datatype": "INT64", "shape": [2, 4], "data": [2, 9, 3, 0, 2, 9, 8, 3]}
        mask = {"name": "attention_mask", "datatype": "INT64", "shape": [2, 4], "data": [1, 1, 1, 0, 1, 1, 1, 1]}
        (logits,) = client.post("/v2/models/reader/infer", json={"inputs": [ids, mask]}).json()["outputs"]
        described = client.get("/v2/models/reader").json()
        one = client.post("/tei/predict", json={"inputs": [question, context]}).json()
        several = client.post("/tei/predict", json={"inputs": [[question, context], ["where was it", context]]}).json()
        refused = client.post("/tei/predict", json={"inputs": "who was it"})
    wanted = {"answer": "小明", "start": told.start, "end": told.end}
    for found in (json.loads(output["data"][0]), json.loads(same["data"][0]), one, several[0]):
        assert {name: found[name] for name in wanted} == wanted
        assert found["score"] == pytest.approx(told.score, abs=1e-3)
    assert several[1]["answer"] == "北京"
    assert (output["name"], output["shape"]) == ("answers", [1])
    assert (logits["name"], logits["shape"], logits["data"][6:8]) == ("logits", [2, 4, 2], [0, 0])
    assert [reply.status_code for reply in (single, half, refused)] == [400, 400, 424]
    assert "input 0 is a single text; expected a question and a context" in single.json()["error"]
    assert "expected question and context, or input_ids" in half.json()["error"]
    assert "Model is not a classifier model" in refused.json()["error"]
    assert [(one["name"], one["shape"]) for one in described["outputs"]] == [("answers", [-1]), ("logits", [-1, -1, 2])]
    assert [one["name"] for one in described["inputs"]][:2] == ["question", "context"]


@pytest.mark.parametrize("names", [("question", "context"), ("text", "text_pair")])
def test_grpc_answers_as_rest_does(made, names):
    store, *_ = made
    columns = {name: list(texts) for name, texts in zip(names, zip(*PAIRS, strict=True), strict=True)}
    recipe = ServeRecipe(port=0, grpc_port=0)
    with running_server(StoreCatalogue(Store(store)), recipe) as server, connected(server) as client:
        reply = httpx.post(f"{server.url}/v1/models/reader:predict", json={"inputs": columns}).json()["outputs"]
        asked = {name: tensor(texts, "string") for name, texts in columns.items()}
        told = client.call(PREDICT, predict(inputs=asked, model="reader")).outputs
        some = client.call(PREDICT, predict(inputs=asked, model="reader", only=("answer",))).outputs
        asked = infer({name: ("BYTES", texts) for name, texts in columns.items()}, model="reader")
        inferred = client.call(INFER, asked)
    assert {name: array_of(told[name]) for name in ("answer", "start", "end")} == {
        name: reply[name] for name in ("answer", "start", "end")
    }
    for name in ("score", "no_answer"):
        np.testing.assert_allclose(array_of(told[name]), reply[name], atol=1e-3)
    assert set(some) == {"answer"}
    content = memoryview(inferred.raw_output_contents[0])
    found = [json.loads(one) for one in unpack_bytes(content, len(PAIRS), name="answers")]
    assert [one["answer"] for one in found] == reply["answer"]


def test_grpc_refuses_half_a_question_and_one_that_comes_twice(made):
    store, *_ = made
    one = tensor(["who was it"], "string")
    recipe = ServeRecipe(port=0, grpc_port=0)
    with running_server(StoreCatalogue(Store(store)), recipe) as server, connected(server) as client:
        for names, said in (
            (("question",), "Missing but required: {context}"),
            (("question", "text", "context"), "Sent extra: {text}"),
        ):
            with pytest.raises(Exception, match=re.escape(said)):
                client.call(PREDICT, predict(inputs=dict.fromkeys(names, one), model="reader"))


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ({"question": " ", "context": "the old"}, "the question of input 0 is blank"),
        ({"question": "who was it", "context": ""}, "the context of input 0 is blank"),
        ({"question": "who was it"}, "keys must be equal to: context,question"),
        ("who was it", "expecting list of objects"),
        ({"text": "who was it", "pair": "the old"}, "does not have named input: pair"),
    ],
)
def test_what_is_no_question_is_refused_by_the_server(made, instance, said):
    store, *_ = made
    with running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0)) as server:
        reply = httpx.post(f"{server.url}/v1/models/reader:predict", json={"instances": [instance]})
    assert reply.status_code == 400
    assert said in reply.json()["error"]


def test_people_get_a_line_a_question(made, tmp_path):
    store, *_ = made
    about = tmp_path / "about.txt"
    about.write_text("我 看 小明 又 看 北京", encoding="utf-8")
    ran = command("predict", "reader/1", "谁去", "哪里", "--context", about, "--store", store)
    assert [re.sub(r"  [01]\.\d\d  ", " ~ ", line) for line in ran.out.splitlines()] == [
        "小明 ~ 谁去 | 我 看 小明 又 看 北京",
        "北京 ~ 哪里 | 我 看 小明 又 看 北京",
    ]
    piped = command("predict", "reader/1", "--context", about, "--store", store, "--json", stdin="谁去\n".encode())
    assert piped.json["answer"] == "小明"
    assert set(piped.json) == {"answer", "start", "end", "score", "no_answer"}
    data = tmp_path / "asked.jsonl"
    data.write_text(json.dumps({"question": "谁去", "context": "我 看 the old"}) + "\n", encoding="utf-8")
    ran = command("predict", "reader/1", "--data", data, "--store", store, "--json", "--probabilities")
    assert ran.json["answer"] == ""
    assert ran.json["others"][0]["text"]
    for arguments, said in (
        (["谁去"], "the questions are about nothing; expected --context FILE"),
        (["--data", data, "--context", about], "both --context and --data were given"),
    ):
        ran = command("predict", "reader/1", *arguments, "--store", store)
        assert (ran.status, said in ran.err) == (2, True)


def test_contexts_of_every_kind(made):
    store, *_ = made
    pairs = [*((QUESTION, text) for text in STRANGE), ("who was it " * 200, "bob saw the old"), ("🙂", "🙂")]
    for (_, context), told in zip(pairs, penjing.predict("reader/1", pairs, store=store), strict=True):
        assert context[told.start : told.end] == told.answer == told.answer.strip()
        assert 0 <= told.score <= 1


def test_what_cannot_be_asked_is_told(made):
    store, *_ = made
    with pytest.raises(DataError, match="text 2 is blank"):
        list(penjing.predict("reader/1", [(QUESTION, "x"), (QUESTION, " ")], store=store))
    with pytest.raises(InvalidRequestError, match="a single text; expected a question and a context"):
        list(penjing.predict("reader/1", ["x"], store=store))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answers": [{"text": "ann", "answer_start": 1}]}, r"\[q0\]: the answer 'ann' is said to begin at 1"),
        ({"answers": [], "is_impossible": True}, "no row of .* has an answer"),
        ({}, "without a label"),
        ({"id": "q", "answers": []}, r"bad\.json\[q\] has the id 'q' .*'ann saw 0' there, 'ann saw 1' here"),
        ({"answers": "ann"}, "has the answer_start None"),
    ],
)
def test_mistakes_in_the_data_are_told_and_nothing_is_registered(made, tmp_path, row, said):
    store, *_ = made
    bad, asked = tmp_path / "bad.json", {"question": QUESTION} | row
    paragraphs = [{"context": f"ann saw {number}", "qas": [{"id": f"q{number}"} | asked]} for number in range(9)]
    bad.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    model = Store(store).bundle("reader", 1).path / "checkpoint"
    ran = command("finetune", "--name", "bad", "--task", "question-answering", "--model", model, "--train", bad,
                  "--store", tmp_path / "s", *settings(*QUICK))  # fmt: skip
    assert ran.status == 1
    assert re.search(said, ran.err)
    assert not (tmp_path / "s" / "bad").exists()
