"""Each route of each dialect, taken from the code, refuses strangers and those with another right, in its own words."""

from __future__ import annotations

import http.client
import json

import pytest
from jsonschema import Draft202012Validator

from contract.cases import Answer
from penjing.security.scopes import VERBS, Role
from serve.admitted import guarded, routes

PLACES = routes()
CLOSED = [place for place in PLACES if place.need.verb is not None]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("guarded")) as (server, keys):

        def asked(place, scopes=None, name="authorization"):
            return ask(server, place, keys[scopes] if scopes else None, name)

        yield asked


def ask(server, place, key, name):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {} if key is None else {name: f"Bearer {key}" if name == "authorization" else key}
    try:
        connection.request(place.route.method, place.target, place.body, headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


def in_its_form(place, answer):
    Draft202012Validator({**place.said.error}).validate(answer.json)
    return json.dumps(answer.json)


def role_for(place):
    return next(role for role in Role if place.need.verb in VERBS[role])


def test_every_route_says_what_it_needs():
    assert [str(place) for place in PLACES if place.route.needs is None] == []
    assert {place.path for place in PLACES if place.need.verb is None} == {
        "/healthz", "/readyz", "/health", "/ping", "/tei/health", "/tei/ping", "/kserve/",
        "/v2/health/live", "/v2/health/ready", "/oip/v2/health/live", "/oip/v2/health/ready",
    }  # fmt: skip


@pytest.mark.parametrize("place", [one for one in PLACES if one.need.verb is None], ids=str)
def test_life_signs_are_for_all_and_name_no_model(asked, place):
    answer = asked(place)
    assert answer.status == 200
    assert b'"m"' not in answer.body


@pytest.mark.parametrize("place", CLOSED, ids=str)
def test_without_a_key(asked, place):
    answer = asked(place)
    assert answer.status == 401, answer.body
    assert answer.headers["www-authenticate"] == 'Bearer realm="penjing"'
    assert "no credential came" in in_its_form(place, answer)


@pytest.mark.parametrize("place", CLOSED, ids=str)
def test_with_a_key_for_something_else(asked, place):
    another = "predict" if role_for(place) == "operate" else "operate"
    for scopes in ("*:feedback", f"other:{role_for(place)}", f"m:{another}"):
        is_look = place.need.verb == "look"
        if (is_look and scopes.startswith("m:")) or (place.is_list and is_look and scopes != "*:feedback"):
            continue  # looking comes with each role; lists are told in part
        if place.path.endswith("/index") and scopes.startswith("other:"):
            assert asked(place, scopes).json == []
            continue
        answer = asked(place, scopes)
        assert answer.status == 403, (scopes, answer.body)
        assert "has no right to" in in_its_form(place, answer)


@pytest.mark.parametrize("place", CLOSED, ids=str)
def test_with_the_right_key(asked, place):
    models = "*" if place.need.everywhere or "/knowledge" in place.path else "m"
    with_right, with_all = (asked(place, f"{models}:{role}") for role in (role_for(place), "admin"))
    assert with_right.status == with_all.status
    assert with_right.status not in (401, 403), with_right.body
    if "/knowledge" not in place.path:
        assert with_right.status == place.route.status, with_right.body


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
def test_each_header_that_clients_use(asked, name):
    place = next(one for one in PLACES if one.path == "/v1/models/{model}:predict")
    assert asked(place, "m:predict", name).status == 200
