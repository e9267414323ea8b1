"""The server's description of itself is valid, whole and true."""

from __future__ import annotations

import re

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from contract.cases import Case, send, served
from penjing.serve.api.mounts import all_mounts
from penjing.serve.api.openapi import document
from penjing.serve.recipe import ServeRecipe

DOCUMENT = document(all_mounts(None, ServeRecipe()))  # the plane is not asked
OPERATIONS = [(path, method, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()]
NAMES = {"model": "m", "version": "1", "label": "stable"}
PREFIXES = ("/tfs/", "/oip/", "/tei/", "/kserve/", "/openai/")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store")) as running:
        yield running


def test_the_document_is_valid():
    validate(DOCUMENT)


def test_the_server_gives_this_very_document(server):
    answer = send(server, Case("", "", "GET", "/openapi.json"))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == DOCUMENT
    assert send(server, Case("", "", "POST", "/openapi.json")).status == 405


def test_every_dialect_has_one_strict_prefix_and_shares_no_bare_path():
    bare = {path for path, _, _ in OPERATIONS if not path.startswith(PREFIXES)}
    strict = {path for path, _, _ in OPERATIONS} - bare
    assert {f"/{path.split('/')[1]}/" for path in strict} == set(PREFIXES)
    assert {"/v2/models/{model}/infer", "/predict", "/v1/models", "/healthz", "/openapi.json"} <= bare
    assert not {"/tfs/v1/models", "/tfs/healthz"} & strict  # the list is an answer for others


def test_operations_have_names_of_their_own():
    names = [told["operationId"] for _, _, told in OPERATIONS]
    assert len(set(names)) == len(names)


def resolved(schema):
    return Draft202012Validator(schema | {"components": DOCUMENT["components"]})


@pytest.mark.parametrize(("path", "method", "told"), OPERATIONS, ids=[f"{one[1]} {one[0]}" for one in OPERATIONS])
def test_every_operation_answers_as_it_says(server, path, method, told):
    target = re.sub(r"{(\w+)}", lambda found: NAMES[found[1]], path)
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    if content:
        resolved(content["schema"]).validate(content["example"])
    answer = send(server, Case("", "", method.upper(), target, content.get("example", b"")))
    assert answer.status != 404, answer.body
    said = told["responses"][str(answer.status)]
    for kind, media in said.get("content", {}).items():
        assert answer.headers["content-type"] == kind
        if kind == "application/json":
            resolved(media["schema"]).validate(answer.json)
    expected_fault = any(
        word in path
        for word in ("embed", "rerank", "similarity", "unload", "explain", "regress", "completions", "generate")
    )
    assert (answer.status == 200) != expected_fault, answer.body


@pytest.mark.parametrize(("path", "method", "told"), OPERATIONS, ids=[f"{one[1]} {one[0]}" for one in OPERATIONS])
def test_every_operation_errs_in_its_dialects_form(server, path, method, told):
    names = NAMES | {"model": "absent"}
    target = re.sub(r"{(\w+)}", lambda found: names[found[1]], path)
    answer = send(server, Case("", "", method.upper(), target, "{" if method == "post" else b""))
    assert answer.status < 500 or answer.status == 501
    if answer.status != 200:
        (media,) = told["responses"][str(answer.status)]["content"].values()
        resolved(media["schema"]).validate(answer.json)
