"""Knowledge bases over HTTP: asked and changed through a running server, under its limits, errors in one form."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import penjing
from penjing.app.knowledge_serving import named_bases, with_knowledge
from penjing.core.errors import DeadlineError, NotFoundError, StoreError, UsageError
from penjing.knowledge import Document
from penjing.knowledge.http import errors
from penjing.security.key_file import add_key
from penjing.security.keys import new_key
from penjing.security.scopes import Scope
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.openapi import document
from penjing.store import Store

SETS = ["chunks.max_tokens=16", "chunks.overlap=0"]
DOCUMENTS = [
    Document("rain", "The rain fell on lisbon last night.", "Weather"),
    Document("球/队", "球队去年赢了。", "球队"),
    Document("faq", "How long is the warranty?", answer="Two years."),
]


@pytest.fixture(scope="module")
def base(knowledge_store, tmp_path_factory):
    path = tmp_path_factory.mktemp("bases") / "a.kb"
    with penjing.open_knowledge(path, embedder="encoder", reader="reader", sets=SETS, store=knowledge_store) as opened:
        opened.add(DOCUMENTS)
    return path


@pytest.fixture(scope="module")
def client(knowledge_store, base):
    recipe, also = with_knowledge(
        ServeRecipe(port=0), {"手册": base, "a": base}, store=knowledge_store, is_writable=True
    )
    with (
        running_server(StoreCatalogue(Store(knowledge_store)), recipe, also=also) as server,
        httpx.Client(base_url=server.url) as made,
    ):
        yield made


def test_the_bases_are_told(client):
    told = client.get("/v1/knowledge").json()["bases"]
    assert [one["name"] for one in told] == ["a", "手册"]
    assert told[0] | {"documents": 3} == client.get("/v1/knowledge/a").json() | {"documents": 3}
    assert (told[1]["embedder"], told[1]["reader"], told[1]["reranker"]) == ("encoder/1", "reader", None)
    assert told[1]["writable"] is True


def test_the_server_answers_as_python_does(client, knowledge_store, base):
    question = "how long is the warranty"
    with penjing.open_knowledge(base, store=knowledge_store) as opened:
        local = opened.ask(question)
    reply = client.post("/v1/knowledge/a/ask", json={"question": question, "passages": 2})
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["answer"], told["cited"]["document"]) == (local.best.answer, local.best.document)
    assert told["confidence"] == pytest.approx(local.confidence, abs=1e-3)
    assert [one["document"] for one in told["passages"]] == [one.passage.document for one in local.passages[:2]]
    spans = [one for one in told["others"] if one["kind"] == "span"]
    assert spans
    for cited in spans:
        path = f"/v1/knowledge/a/documents/{cited['document'].replace('/', '%2F')}"
        assert client.get(path).json()["text"][cited["begin"] : cited["end"]] == cited["answer"]


def test_documents_come_and_go(client):
    snow = {"document": "x/y", "text": "# 新\nsnow", "format": "markdown"}
    added = client.post("/v1/knowledge/a/documents", json=snow)
    assert added.json() == {"document": "x/y", "became": "added", "passages": 1}
    same = client.post("/v1/knowledge/a/documents", json=snow)
    assert same.json()["became"] == "unchanged"
    stored = {"document": "q", "question": "who won", "answer": "球队"}
    assert client.post("/v1/knowledge/a/documents", json=stored).json()["became"] == "added"
    assert client.post("/v1/knowledge/a/documents", json=stored | {"answer": "x"}).json()["became"] == "replaced"
    listed = client.get("/v1/knowledge/手册/documents", params={"after": "q", "most": 2}).json()
    assert [one["document"] for one in listed["documents"]] == ["rain", "x/y"]
    assert listed["next"] == "x/y"
    for name in ("x%2Fy", "q"):
        assert client.request("DELETE", f"/v1/knowledge/a/documents/{name}").json()["became"] == "removed"
    assert client.request("DELETE", "/v1/knowledge/a/documents/q").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/none", None, 404, "there is no knowledge base 'none'"),
        ("POST", "/none/ask", {"question": "x"}, 404, "there is no knowledge base 'none'"),
        ("GET", "/a/b/c/d", None, 404, "is no path of a knowledge base"),
        ("GET", "/a/ask", None, 405, "GET /v1/knowledge/a/ask"),
        ("DELETE", "/a", None, 405, "DELETE /v1/knowledge/a"),
        ("POST", "/a/ask", {}, 400, "question is absent"),
        ("POST", "/a/ask", {"question": 1}, 400, "question is 1"),
        ("POST", "/a/ask", {"question": " "}, 400, "the question is blank"),
        ("POST", "/a/ask", {"question": "x" * 3000}, 400, "has 3,000 characters"),
        ("POST", "/a/ask", {"question": "x", "passages": 101}, 400, "passages is 101"),
        ("POST", "/a/ask", {"question": "x", "threshold": 2}, 400, "threshold is no share"),
        ("POST", "/a/ask", "[1]", 400, "the body is [1]"),
        ("POST", "/a/ask", "{", 400, "the body is not JSON"),
        ("GET", "/a/documents?most=0", None, 400, "most is '0'"),
        ("GET", "/a/documents/none", None, 404, "no document 'none'"),
        ("POST", "/a/documents", {"document": "d", "text": "x", "format": "pdf"}, 400, "in the format 'pdf'"),
        ("POST", "/a/documents", {"document": "d", "text": " "}, 400, "d holds no text"),
        ("POST", "/a/documents", {"document": " ", "text": "x"}, 400, "document is blank"),
        ("POST", "/a/documents", {"document": "d", "text": "x\u0000"}, 400, "holds a NUL character"),
        ("POST", "/a/documents", '{"document": "d", "text": "\\ud800"}', 400, "half a surrogate pair"),
        ("POST", "/a/documents", {"document": "d", "text": "x" * (9 << 20)}, 413, "expected at most"),
    ],
)
def test_faults_have_one_form(client, method, path, body, status, said):
    content = body if isinstance(body, str) or body is None else json.dumps(body)
    reply = client.request(method, f"/v1/knowledge{path}", content=content)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"code", "came", "expected", "do"}
    assert said in f"{error['came']}; expected {error['expected']}"


def test_a_reader_that_is_not_served_is_told(knowledge_store, base):
    recipe, also = with_knowledge(ServeRecipe(port=0), {"a": base}, store=knowledge_store)
    recipe = recipe.model_copy(update={"models": ("encoder",)})
    with running_server(StoreCatalogue(Store(knowledge_store)), recipe, also=also) as server:
        url = f"{server.url}/v1/knowledge/a"
        asked = httpx.post(f"{url}/ask", json={"question": "x"})
        refused = httpx.post(f"{url}/documents", json={"document": "d", "text": "x"})
        late = httpx.post(f"{url}/ask", json={"question": "x"}, headers={"x-penjing-timeout-ms": "0"})
        assert httpx.request("DELETE", f"{url}/documents/rain").status_code == 403
    assert (asked.status_code, asked.json()["error"]["code"]) == (404, "model-not-found")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unsupported")
    assert late.status_code == 504


def test_many_ask_while_one_writes(client):
    def ask(turn):
        return client.post("/v1/knowledge/a/ask", json={"question": f"rain {turn}"}).status_code

    def write(turn):
        return client.post("/v1/knowledge/a/documents", json={"document": "w", "text": f"rain {turn}"}).status_code

    with ThreadPoolExecutor(8) as pool:
        asked, written = [pool.submit(ask, turn) for turn in range(40)], [pool.submit(write, n) for n in range(10)]
        assert {one.result() for one in [*asked, *written]} == {200}
    client.request("DELETE", "/v1/knowledge/a/documents/w")


def test_the_servers_description_tells_of_it(client, base):
    told = client.get("/openapi.json").json()
    assert "/v1/knowledge/{base}/ask" in told["paths"]
    validate(told)
    schema = told["paths"]["/v1/knowledge/{base}/ask"]["post"]["responses"]["200"]["content"]["application/json"]
    answer = client.post("/v1/knowledge/a/ask", json={"question": "rain"}).json()
    Draft202012Validator(schema["schema"] | {"components": told["components"]}).validate(answer)
    without = document(all_mounts(None, ServeRecipe()))
    assert not [path for path in without["paths"] if "knowledge" in path]


def test_statuses():
    assert [errors.status_of(one) for one in (StoreError("x"), NotFoundError("x"), DeadlineError("x"), KeyError())] == [
        503, 404, 504, 500,
    ]  # fmt: skip
    assert json.loads(errors.fault(KeyError("secret")).body)["error"]["code"] == "internal"


def test_what_cannot_be_served_is_told_before_anything_is_loaded(knowledge_store, base, tmp_path):
    assert named_bases(["a=x.kb", "b=y.kb"]) == {"a": Path("x.kb"), "b": Path("y.kb")}
    for said in (["a"], ["=x"], ["a/b=x"], ["a=x", "a=y"]):
        with pytest.raises(UsageError, match="--knowledge"):
            named_bases(said)
    with pytest.raises(NotFoundError, match="there is no knowledge base"):
        with_knowledge(ServeRecipe(), {"a": tmp_path / "none.kb"}, store=knowledge_store)
    with pytest.raises(NotFoundError, match="model 'encoder'"):
        with_knowledge(ServeRecipe(), {"a": base}, store=tmp_path / "empty")
    with pytest.raises(UsageError, match="workers: 1"):
        with_knowledge(ServeRecipe(workers=2), {"a": base}, store=knowledge_store)
    recipe, _ = with_knowledge(ServeRecipe(models=("other",)), {"a": base}, store=knowledge_store)
    assert recipe.models == ("encoder", "other", "reader")
    assert recipe.labels == {"encoder": {"knowledge-a-embedder": 1}}


def test_a_reader_of_a_named_version_is_served_beside_newer_ones(knowledge_store, tmp_path):
    path = tmp_path / "pinned.kb"
    with penjing.open_knowledge(
        path, embedder="encoder", reader="reader/1", sets=SETS, store=knowledge_store
    ) as opened:
        opened.add(DOCUMENTS)
    recipe, _ = with_knowledge(ServeRecipe(), {"a": path}, store=knowledge_store)
    assert recipe.labels == {"encoder": {"knowledge-a-embedder": 1}, "reader": {"knowledge-a-reader": 1}}


def test_a_right_to_a_base_is_one_to_its_models_through_it_and_to_nothing_else(knowledge_store, base, tmp_path):
    given = ("knowledge/a:predict", "knowledge/b:predict", "knowledge/*:operate", "encoder:predict")
    made = {scopes: new_key(scopes, [Scope.parse(scopes)]) for scopes in given}
    for one in made.values():
        add_key(tmp_path / "keys.json", one)
    recipe, also = with_knowledge(
        ServeRecipe(port=0, keys=tmp_path / "keys.json"),
        {"a": base, "b": base},
        store=knowledge_store,
        is_writable=True,
    )
    with running_server(StoreCatalogue(Store(knowledge_store)), recipe, also=also) as server:

        def ask(scopes, path, **body):
            headers = {"authorization": f"Bearer {made[scopes].text}"}
            url = f"{server.url}{path}"
            return httpx.post(url, json=body, headers=headers) if body else httpx.get(url, headers=headers)

        question = {"question": "how long is the warranty"}
        assert ask("knowledge/a:predict", "/v1/knowledge/a/ask", **question).json()["answer"] == "Two years."
        assert [one["name"] for one in ask("knowledge/a:predict", "/v1/knowledge").json()["bases"]] == ["a"]
        for scopes in ("knowledge/b:predict", "encoder:predict", "knowledge/*:operate"):
            assert ask(scopes, "/v1/knowledge/a/ask", **question).status_code == 403
        embed = {"model": "encoder", "input": "rain"}
        assert ask("knowledge/a:predict", "/v1/embeddings", **embed).status_code == 403
        assert ask("encoder:predict", "/v1/embeddings", **embed).status_code == 200
        note = {"document": "note", "text": "snow"}
        assert ask("knowledge/a:predict", "/v1/knowledge/a/documents", **note).status_code == 403
        assert ask("knowledge/*:operate", "/v1/knowledge/a/documents", **note).json()["became"] == "added"
        assert ask("knowledge/*:operate", "/v1/knowledge/a/documents/note").status_code == 403
