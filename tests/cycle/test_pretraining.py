"""Pretraining in a minute: a tokenizer and a model from plain text, judged, quantised, served, gone on from."""

from __future__ import annotations

import json
import random
import time

import httpx
import numpy as np
import pytest
import torch
import transformers

import penjing
from app.calling import penjing as command
from app.calling import settings
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.core.errors import InvalidRequestError
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.api.open_inference.tensors import unpack_bytes
from penjing.serve.versions import State
from penjing.store import Store
from strange import STRANGE

PAIRS = {"salt": "pepper", "king": "queen", "day": "night", "sun": "moon"}
CHINESE = {"东": "西", "南": "北", "大": "小"}
ENGLISH = ("we", "saw", "the", "and", "with", "some", "old", "new")
SMALL = ("architecture.layers=1", "architecture.hidden=32", "architecture.heads=2", "architecture.positions=32",
         "tokenizer.vocabulary=300", "text.max_tokens=16", "data.documents=line", "data.held_out=0.1",
         "training.threads=1", "training.batch_size=32", "training.learning_rate=8e-3",
         "training.dropout=0")  # fmt: skip
QUIET = ("measure.rounds=1", "measure.requests=4", "measure.clients=2")
ASKED = ["salt and [MASK]", "the 东 和 [MASK] and [MASK]"]


def lines(count, seed=0):
    rng = random.Random(seed)
    for number in range(count):
        one, other = rng.choice(list((CHINESE if number % 3 == 0 else PAIRS).items()))
        few = " ".join(rng.sample(ENGLISH, 2))
        yield f"{few} {one} 和 {other}" if number % 3 == 0 else f"{few} {one} and {other} {rng.choice(ENGLISH)}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    (folder / "text.txt").write_text("\n".join(lines(700)), encoding="utf-8")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines(60, seed=5)))
    first = command("pretrain", "--name", "guess", "--train", folder / "text.txt", "--store", folder / "store",
                    *settings(*SMALL, "training.epochs=10", "masking.unit=word"), "--json")  # fmt: skip
    assert first.status == 0, first.err
    second = command("quantize", "guess/1", "--store", folder / "store", "--json",
                     *settings(*QUIET, "quantize.max_drop=0.5", "quantize.engine=onnxruntime"))  # fmt: skip
    assert second.status == 0, second.err
    return folder, first.json, second.json


@pytest.fixture(scope="module")
def server(made):
    recipe = ServeRecipe(port=0, grpc_port=0, versions={"kind": "all"})
    with running_server(StoreCatalogue(Store(made[0] / "store")), recipe) as server:
        while not all(version.state is State.AVAILABLE for version in server.plane.models.all()):
            time.sleep(0.01)
        yield server


@pytest.fixture(scope="module")
def expected(made):
    """The likeliest tokens at each mask, by plain Transformers."""
    checkpoint = made[0] / "store/guess/1/checkpoint"
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForMaskedLM.from_pretrained(checkpoint).eval()
    found = []
    for text in ASKED:
        ids = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            shares = model(**ids).logits[0].softmax(-1)[ids["input_ids"][0] == tokenizer.mask_token_id]
        found.append([[(int(at), float(row[at])) for at in row.argsort(descending=True)[:5]] for row in shares])
    return found


def check(told, expected, *, atol=1e-4):
    assert [len(own) for own in told] == [len(own) for own in expected]
    for masks, right in zip(told, expected, strict=True):
        for own, wanted in zip(masks, right, strict=True):
            np.testing.assert_allclose([one["score"] for one in own], [score for _, score in wanted], atol=atol)
            assert own[0]["token"] == wanted[0][0]


def test_a_model_from_scratch_learns_to_guess(made):
    folder, first, second = made
    metrics = first["metrics"]
    assert metrics["perplexity"]["value"] < metrics["perplexity_before"]["value"] / 10
    assert metrics["perplexity"]["low"] < metrics["perplexity"]["value"] < metrics["perplexity"]["high"]
    assert metrics["masked_accuracy"]["value"] > 0.25
    assert metrics["export_difference"]["value"] < 1e-4
    assert second["metrics"]["agreement"]["value"] > 0.8
    again = command("evaluate", "guess/1", "--store", folder / "store", "--json").json
    assert again["metrics"]["perplexity"] == metrics["perplexity"]
    report = Store(folder / "store").bundle("guess", 1).file("report.html").read_text()
    assert "Perplexity of before" in report
    other = command("evaluate", "guess/1", "--data", folder / "texts.jsonl", "--store", folder / "store", "--json")
    assert other.json["metrics"]["masked_accuracy"]["value"] > 0.2


def test_the_commands_give_what_plain_transformers_gives(made, expected):
    folder, *_ = made
    told = command("predict", "guess/1", *ASKED, "--store", folder / "store", "--output", folder / "masks.jsonl")
    assert told.status == 0, told.err
    rows = [json.loads(line)["masks"] for line in (folder / "masks.jsonl").read_text().splitlines()]
    check(rows, expected)
    assert rows[0][0][0]["sequence"] == f"salt and {rows[0][0][0]['token_str']}"
    assert rows[1][0][0]["sequence"] == f"the 东 和 {rows[1][0][0]['token_str']} and [MASK]"
    assert (
        f"{rows[0][0][0]['token_str']} 0." in command("predict", "guess/1", ASKED[0], "--store", folder / "store").out
    )
    command("predict", "guess/1", *ASKED, "--store", folder / "store", "--output", folder / "masks.parquet")
    bare = command("predict", "guess/1", "no mask here", "--store", folder / "store")
    assert bare.status != 0
    assert "text 1 has no mask; expected [MASK]" in bare.err


def test_strange_texts_have_their_words_or_a_clear_error(made):
    store = made[0] / "store"
    for text in STRANGE:
        told = list(penjing.predict("guess/1", ["the [MASK] " + text[:40]], store=store))
        assert len(told) == 1
    with pytest.raises(InvalidRequestError, match=r"(?i)mask"):
        list(penjing.predict("guess/1", [STRANGE[-3] + "[MASK]"], store=store))


def test_it_is_served_in_every_dialect_that_can_carry_it(made, server, expected):
    with httpx.Client(base_url=server.url) as client:
        rows = client.post("/v1/models/guess/versions/1:predict", json={"instances": ASKED}).json()["predictions"]
        check(rows, expected)
        named = {"signature_name": "text", "inputs": {"text": ASKED}}
        check(client.post("/v1/models/guess/versions/1:predict", json=named).json()["outputs"], expected)
        asked = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ASKED}]}
        reply = client.post("/v2/models/guess/versions/1/infer", json=asked).json()["outputs"][0]
        assert (reply["name"], reply["shape"]) == ("masks", [2])
        check([json.loads(one) for one in reply["data"]], expected)
        described = client.get("/v2/models/guess/versions/1").json()
        assert [one["name"] for one in described["inputs"]] == ["text"]
        assert [one["name"] for one in described["outputs"]] == ["masks"]
        newest = client.post("/kserve/v1/models/guess:predict", json={"instances": ASKED}).json()["predictions"]
        check(newest, expected, atol=0.05)  # the int8 form
    with connected(server) as channel:
        reply = channel.call(INFER, infer({"text": ("BYTES", ASKED)}, model="guess", model_version="1"))
        told = unpack_bytes(memoryview(reply.raw_output_contents[0]), 2, name="masks")
        check([json.loads(one) for one in told], expected)
        request = predict(inputs={"text": tensor(ASKED, "string")}, model="guess", version=1)
        check([json.loads(one) for one in array_of(channel.call(PREDICT, request).outputs["masks"])], expected)


def test_what_cannot_be_answered_is_refused(server):
    with httpx.Client(base_url=server.url) as client:
        bare = client.post("/v1/models/guess:predict", json={"instances": ["no mask"]})
        assert (bare.status_code, "text 1 has no mask" in bare.text) == (400, True)
        far = client.post("/v1/models/guess:predict", json={"instances": ["salt " * 40 + "[MASK]"]})
        assert (far.status_code, "beyond the 16 tokens" in far.text) == (400, True)
        ids = client.post("/v1/models/guess:predict", json={"instances": [{"input_ids": [2, 4, 3]}]})
        assert ids.status_code == 400
        tei = client.post("/predict?model=guess", json={"inputs": ASKED[0]})
        assert tei.status_code in (400, 424)
        assert "not a classifier" in tei.text
        embed = client.post("/embed?model=guess", json={"inputs": ASKED[0]})
        assert embed.status_code in (400, 424)


def test_training_goes_on_from_it_and_finetuning_takes_it(made):
    folder, first, _ = made
    checkpoint, store = folder / "store/guess/1/checkpoint", folder / "other"
    told = settings(*(one for one in SMALL if not one.startswith(("architecture", "tokenizer"))), "training.epochs=1")
    more = command("pretrain", "--name", "more", "--model", checkpoint, "--train", folder / "text.txt",
                   "--store", store, *told, "--json")  # fmt: skip
    assert more.status == 0, more.err
    assert more.json["metrics"]["perplexity_before"]["value"] == pytest.approx(first["metrics"]["perplexity"]["value"],
                                                                              rel=1e-3)  # fmt: skip
    rows = "".join(f"{line},{'zh' if '和' in line else 'en'}\n" for line in lines(60, seed=2))
    (folder / "labels.csv").write_text("text,label\n" + rows)
    tuned = command("finetune", "--name", "tuned", "--model", checkpoint, "--train", folder / "labels.csv", "--store",
                    store, *settings("text.max_tokens=16", "measure=null", "training.epochs=3"), "--json")  # fmt: skip
    assert tuned.status == 0, tuned.err
    came = command("export", checkpoint, "--name", "came", "--store", store)
    assert came.status == 0, came.err
    assert Store(store).bundle("came").manifest.task == "fill-mask"


def test_the_same_recipe_gives_the_same_model_and_finds_what_is_done(made):
    folder, *_ = made
    recipe = penjing.PretrainRecipe.model_validate({
        "name": "twice", "data": {"train": str(folder / "text.txt"), "documents": "line"},
        "architecture": {"layers": 1, "hidden": 16, "heads": 2, "positions": 32}, "text": {"max_tokens": 16},
        "tokenizer": {"vocabulary": 300}, "training": {"epochs": 0.2, "threads": 1, "validate_every": 0.1},
    })  # fmt: skip
    done = [penjing.pretrain(recipe, store=folder / "a") for _ in range(2)]
    weights = [(one.bundle.path / "checkpoint/model.safetensors").read_bytes() for one in done]
    assert weights[0] == weights[1]
    kept = sorted(path.name.partition("-")[0] for path in (folder / "a/.runs").iterdir())
    assert kept == ["text", "tokenizer"]


@pytest.mark.parametrize(("family", "optimiser"), [("gpt2", "muon"), ("llama", "adamw")])
def test_a_causal_model_from_scratch(made, family, optimiser):
    folder, *_ = made
    ran = command("pretrain", "--name", family, "--train", folder / "text.txt", "--store", folder / "causal",
                  *settings(*SMALL, "objective=clm", f"architecture.family={family}", "tokenizer.kind=bpe",
                            "training.epochs=2", f"training.optimizer={optimiser}"), "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    metrics = ran.json["metrics"]
    assert metrics["perplexity"]["value"] < metrics["perplexity_before"]["value"] / 5
    judged = command("evaluate", family, "--store", folder / "causal", "--json").json["metrics"]
    assert judged["perplexity"]["value"] == pytest.approx(metrics["perplexity"]["value"], rel=1e-5)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("model=x", "tokenizer.kind=bpe"), "a model has its architecture and its tokenizer"),
        (("objective=clm", "architecture.family=bert"), "family bert is not for objective clm"),
        (("text.max_tokens=600",), "beyond architecture.positions 512"),
        (("masking.rate=0.6",), "masking.rate"),
        (("architecture.hidden=30",), "no multiple of heads"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(told, expected, tmp_path):
    ran = command("pretrain", "--name", "x", "--train", "x.txt", "--store", tmp_path, *settings(*told))
    assert ran.status == 2
    assert expected in ran.err


def test_text_that_is_none_is_told(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    ran = command("pretrain", "--name", "x", "--train", tmp_path / "empty.txt", "--store", tmp_path / "store")
    assert ran.status == 1
    assert "no token" in ran.err or "no text" in ran.err
