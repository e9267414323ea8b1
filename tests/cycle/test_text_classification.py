"""A life in a minute: train, quantise, serve, ask over HTTP, and roll back while requests keep coming."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

import penjing
from app.world import BRIEF, QUICK, labelled_rows, shared_world
from penjing.core.recipe import resolve_recipe
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from strange import STRANGE

ROWS = labelled_rows(40, seed=33)
TEXT = ROWS[0][0]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two versions of ``topics``: fp32 and int8, and the alias ``stable`` at the second."""
    world, store = shared_world(tmp_path_factory), tmp_path_factory.mktemp("cycle") / "store"
    flags = {"name": "topics", "model": str(world.checkpoint), "data.train": str(world.train)}
    recipe = resolve_recipe(penjing.FinetuneRecipe, None, [*QUICK, "measure=null"], flags=flags)
    first = penjing.finetune(recipe, store=store)
    command = resolve_recipe(
        penjing.QuantizeCommand, None, [*BRIEF, "quantize.max_drop=0.2"], flags={"model": first.bundle.reference}
    )
    second = penjing.quantize(command, store=store)
    Store(store).aliases.set("topics", "stable", version=second.bundle.manifest.version)
    return store


@pytest.fixture
def server(store):
    with running_server(StoreCatalogue(Store(store)), ServeRecipe(port=0, poll_s=0.05)) as running:
        yield running


def ask(client, path, texts):
    reply = client.post(f"/v1/models/topics{path}:predict", json={"instances": texts})
    assert reply.status_code == 200, reply.text
    return reply.json()["predictions"]


def test_what_was_learnt_is_answered_over_http(store, server):
    with httpx.Client(base_url=server.url) as client:
        answers = ask(client, "/labels/stable", [text for text, _ in ROWS])
        assert sum(one["label"] == label for one, (_, label) in zip(answers, ROWS, strict=True)) > 30
        (logits,) = ask(client, "", [article_instance(store)])
    assert len(logits) == 4
    told = [one.label for one in penjing.predict("topics@stable", [text for text, _ in ROWS], store=store)]
    assert [one["label"] for one in answers] == told


def test_strange_texts_have_their_answers(store, server):
    told = list(penjing.predict("topics@stable", STRANGE, store=store))
    assert len(told) == len(STRANGE)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        answers = ask(client, "/labels/stable", list(STRANGE))
    assert [one["label"] for one in answers] == [one.label for one in told]


def article_instance(store):
    """Token ids and mask, as a TensorFlow Serving client sends them."""
    from penjing.tokens import TextEncoder

    bundle = Store(store).bundle("topics", "stable")
    limits = bundle.manifest.text
    (encoding,) = TextEncoder(bundle.file(limits.tokenizer), max_tokens=limits.max_tokens).encode([TEXT])
    return {"input_ids": encoding.ids.tolist(), "attention_mask": [1] * len(encoding)}


def test_rolling_back_under_requests_drops_none(store, server):
    home, seen, told, faults = Store(store), [], threading.Event(), []
    scores = {v: next(penjing.predict(f"topics/{v}", [TEXT], store=store)).score for v in (1, 2)}
    assert abs(scores[1] - scores[2]) > 1e-5, "the versions cannot be told apart"

    def load():
        with httpx.Client(base_url=server.url, timeout=20) as client:
            while not told.is_set():
                try:
                    seen.append(ask(client, "/labels/stable", [TEXT])[0]["score"])
                except (AssertionError, httpx.HTTPError) as error:
                    faults.append(error)

    def answered_by(version):
        return seen and seen[-1] == pytest.approx(scores[version], abs=1e-6)

    clients = [threading.Thread(target=load) for _ in range(3)]
    for one in clients:
        one.start()
    try:
        for version in (2, 1, 2, 1):
            home.aliases.set("topics", "stable", version=version)
            wait_until(lambda version=version: answered_by(version))
    finally:
        told.set()
        for one in clients:
            one.join(20)
    assert not faults
    assert all(min(abs(score - of) for of in scores.values()) < 1e-6 for score in seen), "nothing in between"
    assert home.aliases.get("topics", "stable") == 1
    assert {entry.kind for entry in home.ledger.entries(subject="topics@stable")} == {"alias-set"}


def wait_until(condition):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
