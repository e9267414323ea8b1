"""A classifier that says which texts belong to none of its labels: taught, judged, asked, quantised, served."""

from __future__ import annotations

import csv
import random
import re

import httpx
import pytest

import penjing as package
from app.calling import penjing, settings
from app.world import BRIEF, QUICK, labelled_rows
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store

STRANGE = ("piano", "violin", "opera", "sonata", "choir", "melody")
FILLERS = ("the", "we", "saw", "a", "new", "old", "today", "with", "some", "very", "我", "们", "今", "天")


def strange(count, seed):
    rng = random.Random(seed)
    return [(" ".join(rng.sample(FILLERS, 4) + rng.choices(STRANGE, k=2)), "none of these") for _ in range(count)]


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def taught(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scope")
    rows = labelled_rows(420, seed=9)
    parts = {"train": (rows[:280], 12, 1), "validation": (rows[280:340], 30, 2), "test": (rows[340:], 40, 3)}
    files = {name: write(folder / f"{name}.csv", some + strange(n, seed)) for name, (some, n, seed) in parts.items()}
    ran = penjing(
        "finetune", "--name", "scoped", "--model", world.checkpoint, "--train", files["train"], "--test", files["test"],
        "--store", folder / "store", *settings(*QUICK, *BRIEF),
        *settings(f"data.validation={files['validation']}", "data.out_of_scope=none of these"),
    )  # fmt: skip
    assert ran.status == 0, ran.err
    return folder / "store", files, ran.out + ran.err


def test_it_is_measured_apart(taught):
    store, _, told = taught
    metrics = Store(store).bundle("scoped", 1).manifest.metrics
    assert metrics["out_of_scope_recall"].value > 0.8
    assert metrics["in_scope_accuracy"].value > 0.8
    assert metrics["out_of_scope_auroc"].low > 0.8
    for name in ("accuracy in scope", "recall out of scope", "precision out of scope", "AUROC out of scope"):
        assert name in told
    again = package.evaluate("scoped/1", store=store).judgement.result.metrics
    assert again["out_of_scope_auroc"] == metrics["out_of_scope_auroc"]


def test_every_way_to_ask_gives_the_same_answer(taught):
    store, files, _ = taught
    bias = Store(store).bundle("scoped", 1).manifest.decoding["bias/none of these"]
    assert bias != 0
    with files["test"].open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    expected = [one.label for one in package.predict("scoped/1", texts, store=store)]
    assert expected.count("none of these") > 20
    with running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0, grpc_port=0)) as server:
        url = f"{server.url}/v1/models/scoped:predict"
        told = httpx.post(url, json={"instances": texts}, timeout=60).json()["predictions"]
    assert [one["label"] for one in told] == expected
    assert all(max(one["probabilities"]) == pytest.approx(one["score"], abs=1e-6) for one in told)


def test_a_label_that_is_not_there_is_refused(world, taught, tmp_path):
    _, files, _ = taught
    ran = penjing(
        "finetune", "--name", "m", "--model", world.checkpoint, "--train", files["train"], "--test", files["test"],
        "--store", tmp_path, *settings("data.out_of_scope=nobody", "text.max_tokens=24"),
    )  # fmt: skip
    assert ran.status == 1
    assert re.search("no row of .* has the label 'nobody' that out_of_scope names", ran.err.replace("\n", " "))


def test_other_problems_refuse_it(world, tmp_path):
    ran = penjing(
        "finetune", "--name", "m", "--model", world.checkpoint, "--train", world.train, "--store", tmp_path,
        *settings("data.out_of_scope=x", "data.problem_type=multi_label_classification"),
    )  # fmt: skip
    assert ran.status == 2
    assert "out_of_scope is of single_label_classification" in ran.err.replace("\n", " ")
