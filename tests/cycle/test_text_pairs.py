"""One label for a pair of texts (inference between sentences), in Chinese: from a recipe to every dialect's reply."""

from __future__ import annotations

import json
import random

import httpx
import pytest

import penjing
from app.calling import penjing as command
from app.calling import settings
from app.world import KEYWORDS, UNMEASURED, shared_world
from contract.grpc_client import INFER, PREDICT, array_of, connected, infer, predict, tensor
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

WORDS = (*KEYWORDS["体育"], *KEYWORDS["美食"])
PAIRS = [("今天看足球", "我们看足球"), ("今天看足球", "我们看饺子"), ("很好的豆腐", "新豆腐")]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A model of premise and hypothesis: one entails the other where they name the same thing."""
    world, folder, rng = shared_world(tmp_path_factory), tmp_path_factory.mktemp("pairs"), random.Random(6)
    rows = []
    for number in range(240):
        one = rng.choice(WORDS)
        other = one if number % 2 else rng.choice(WORDS)
        row = {"premise": f"今天看{one}", "hypothesis": f"我们看{other}", "label": "蕴含" if one == other else "无关"}
        rows.append(row)
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    ran = command("finetune", "--name", "m", "--model", world.checkpoint, "--train", folder / "pairs.jsonl", "--store",
                  folder / "store", "--json", *settings(*UNMEASURED, "training.epochs=2"))  # fmt: skip
    assert ran.status == 0, ran.err
    return folder / "store"


def test_every_dialect_answers_pairs_as_predict_does(store):
    told = list(penjing.predict("m", PAIRS, store=store))
    labels, scores = [one.label for one in told], [one.score for one in told]
    assert set(labels) <= {"蕴含", "无关"}
    first, second = map(list, zip(*PAIRS, strict=True))
    with running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0, grpc_port=0)) as server:
        with httpx.Client(base_url=server.url) as client:
            rows = [{"text": one, "text_pair": other} for one, other in PAIRS]
            for prefix in ("", "/kserve"):
                served = client.post(f"{prefix}/v1/models/m:predict", json={"instances": rows}).json()["predictions"]
                assert [row["label"] for row in served] == labels
            (best, *_) = client.post("/v1/models/m:classify", json={"examples": rows}).json()["results"]
            ranked = client.post("/tei/predict", json={"inputs": [list(pair) for pair in PAIRS]}).json()
            body = {"inputs": [
                {"name": name, "datatype": "BYTES", "shape": [3], "data": texts}
                for name, texts in (("text", first), ("text_pair", second))
            ]}  # fmt: skip
            outputs = {
                one["name"]: one["data"] for one in client.post("/v2/models/m/infer", json=body).json()["outputs"]
            }
        with connected(server) as asking:
            sent = {"text": tensor(first, "string"), "text_pair": tensor(second, "string")}
            answered = asking.call(PREDICT, predict(inputs=sent))
            inferred = asking.call(INFER, infer({"text": ("BYTES", first), "text_pair": ("BYTES", second)}))
    assert max(best, key=lambda pair: pair[1])[0] == labels[0]
    assert [row[0]["label"] for row in ranked] == labels == outputs["label"]
    assert [row[0]["score"] for row in ranked] == pytest.approx(scores, abs=1e-5)
    assert list(array_of(answered.outputs["label"])) == labels
    assert inferred.outputs[0].name == "label"


def test_a_file_of_pairs_is_answered(store, tmp_path):
    lines = [json.dumps({"premise": one, "hypothesis": other}, ensure_ascii=False) for one, other in PAIRS]
    (tmp_path / "ask.jsonl").write_text("\n".join(lines), "utf-8")
    ran = command(
        "predict", "m", "--data", tmp_path / "ask.jsonl", "--output", tmp_path / "out.jsonl", "--store", store
    )
    assert ran.status == 0, ran.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["label"] for row in rows] == [one.label for one in penjing.predict("m", PAIRS, store=store)]
