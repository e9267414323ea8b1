"""Access control as a whole: who is kept out, what is seen, what happens while the file of keys changes."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import time

import pytest
from pydantic import ValidationError

from contract.cases import served
from penjing.core.errors import KeyFileError, ResourceError
from penjing.security.key_file import add_key, revoke_key
from penjing.security.keys import new_key
from penjing.security.scopes import Scope
from penjing.serve import Server, ServeRecipe, StoreCatalogue, Workers
from penjing.serve.api.faults import plain_fault
from penjing.serve.api.http import json_reply
from penjing.serve.api.routes import TEXT, Description, Route, record
from penjing.serve.api.site import Mount
from penjing.store.store import Store
from serve.admitted import guarded
from serve.doubles import fresh, publish

PREDICT = "/v1/models/m:predict"
BODY = {"instances": ["w1 w2"]}
LISTS = ("/v1/models", "/openai/v1/models", "/v2/models", "/kserve/v1/models", "/v2/models/stats")


def ask(server, target=PREDICT, *headers, method="POST", body=BODY):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.putrequest(method, target)
        sent = json.dumps(body).encode() if method == "POST" else b""
        for name, value in (("content-length", str(len(sent))), *headers):
            connection.putheader(name, value)
        connection.endheaders(sent)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")
    finally:
        connection.close()


def bearer(key):
    return ("authorization", f"Bearer {key}")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("guarded")) as found:
        yield found


WRONG = [
    [("authorization", "Bearer {key}"), ("authorization", "Bearer {key}")],
    [("authorization", "Bearer {key}"), ("x-api-key", "{key}")],
    [("authorization", "Basic {key}")],
    [("authorization", "{key}")],
    [("authorization", "Bearer")],
    [("authorization", "Bearer {key} {key}")],
    [("authorization", "Bearer {key}x")],
    [("authorization", "Bearer " + "x" * 20_000)],
    [("authorization", "Bearer 钥匙".encode())],
    [("authorization", "Bearer {upper}")],
    [("authorization", "Bearer {other}")],
    [("authorization", "Bearer {zeros}")],
    [("x-api-key", "")],
    [("cookie", "authorization=Bearer {key}")],
]


@pytest.mark.parametrize("headers", WRONG, ids=lambda headers: str(headers)[:60])
def test_what_is_no_good_credential(running, headers, caplog):
    server, keys = running
    key = keys["m:predict"]
    spelt = {"key": key, "upper": key.upper(), "other": f"pj_{'a' * 12}_{key[-64:]}", "zeros": key[:16] + "0" * 64}
    sent = [(name, value.format(**spelt) if isinstance(value, str) else value) for name, value in headers]
    status, said = ask(server, PREDICT, *sent)
    assert status == 401
    assert key[-64:] not in json.dumps(said) + caplog.text


def test_headers_that_are_too_large_are_refused_and_nobody_else_is_concerned(running):
    server, keys = running
    with contextlib.suppress(json.JSONDecodeError, OSError, http.client.HTTPException):  # it came to no dialect
        assert ask(server, PREDICT, ("authorization", "Bearer " + "x" * 200_000))[0] in (400, 401, 431)
    assert ask(server, PREDICT, bearer(keys["m:predict"]))[0] == 200


@pytest.mark.parametrize(
    "path", ["/v1/models/..%2f..%2fm:predict", "/v1/models/m%2f..%2fx:predict", "/v1/models/%6d%00:predict",
             "/v1/models/../m:predict", "//v1/models/m:predict", "/v1/models/m/../other:predict"],
)  # fmt: skip
def test_paths_that_go_astray_lead_nowhere(running, path):
    server, keys = running
    for scopes, statuses in (("m:predict", {400, 403, 404}), ("*:admin", {400, 403, 404})):
        status, _ = ask_raw(server, path, bearer(keys[scopes]))
        assert status in statuses
    assert ask_raw(server, path)[0] in (401, 404)


def ask_raw(server, path, *headers):
    try:
        return ask(server, path, *headers)
    except json.JSONDecodeError:
        return 404, None  # the page of no dialect


def test_spellings_of_a_path_that_mean_the_same_need_the_same(running):
    server, keys = running
    for path in ("/V1/Models/m:predict", "/v1/models/%6d:predict"):
        assert ask(server, path)[0] == 401
        assert ask(server, path, bearer(keys["other:predict"]))[0] == 403
        assert ask(server, path, bearer(keys["m:predict"]))[0] == 200


def test_each_caller_sees_its_own_models_only(running):
    server, keys = running
    for scopes, names in (("m:predict", ["m"]), ("other:predict", []), ("*:observe", ["m"])):
        listed = {path: ask(server, path, bearer(keys[scopes]), method="GET")[1] for path in LISTS}
        assert listed["/v1/models"]["models"] == listed["/v2/models"]["models"] == names
        assert listed["/kserve/v1/models"]["models"] == names
        assert [one["id"] for one in listed["/openai/v1/models"]["data"]] == names
        assert {one["name"] for one in listed["/v2/models/stats"]["model_stats"]} == set(names)


def test_a_name_that_is_there_and_one_that_is_not_are_refused_alike(running):
    server, keys = running
    there, absent = (ask(server, f"/v1/models/{name}:predict", bearer(keys["other:predict"])) for name in ("m", "n"))
    assert there[0] == absent[0] == 403
    assert there[1]["error"].replace("'m'", "'n'") == absent[1]["error"]
    status, said = ask(server, "/v1/completions", bearer(keys["other:predict"]), body={"model": "other", "prompt": "a"})
    assert (status, "'m'" in json.dumps(said)) == (404, False)


def test_a_verb_that_no_route_has_keeps_its_dialects_words_and_its_rights(running):
    server, keys = running
    assert ask(server, "/v2/models/m/infer", method="GET")[0] == 401
    assert ask(server, "/v2/models/m/infer", bearer(keys["m:predict"]), method="GET")[0] == 405
    assert ask(server, "/v2/nonsense", bearer(keys["m:predict"]), method="GET")[0] == 404


class Undeclared:
    """A dialect whose only route says nothing of what it needs."""

    description = Description("X", "X.", (Route("POST", "/x", "X.", TEXT),), record({"error": TEXT}))

    def claims(self, path):
        return path.startswith("/x")

    async def answer(self, request):
        return json_reply(200, {"path": request.path})

    def fault(self, error):
        return plain_fault(error)


def test_a_route_without_a_declaration_is_refused_to_all(tmp_path):
    keys = tmp_path / "keys.json"
    made = new_key("a", [Scope.parse("*:admin")])
    add_key(keys, made)
    with served(tmp_path / "store", keys=keys, also=lambda _plane: [Mount(Undeclared())]) as server:
        for path in ("/x", "/x/y"):
            assert ask(server, path, bearer(made.text))[0] == 403
            assert ask(server, path)[0] == 401


def test_a_key_that_is_withdrawn_or_added_counts_without_a_restart(tmp_path):
    with guarded(tmp_path) as (server, keys):
        gone, file = keys["m:predict"], keys.file
        assert ask(server, PREDICT, bearer(gone))[0] == 200
        revoke_key(file, gone.split("_")[1])
        until_status(server, gone, 401)
        new = new_key("new", [Scope.parse("m:predict")])
        add_key(file, new)
        until_status(server, new.text, 200)


def until_status(server, key, wanted):
    until = time.monotonic() + 10
    while ask(server, PREDICT, bearer(key))[0] != wanted:
        assert time.monotonic() < until
        time.sleep(0.05)


def loosen(file):
    file.write_text("{}")
    file.chmod(0o666)


@pytest.mark.parametrize("spoil", [lambda file: file.write_text("{"), lambda file: file.unlink(), loosen])
def test_a_file_that_breaks_changes_nothing_and_is_said(tmp_path, spoil, caplog):
    with guarded(tmp_path) as (server, keys), caplog.at_level(logging.ERROR):
        spoil(keys.file)
        until = time.monotonic() + 10
        while "stay in use" not in caplog.text:
            assert ask(server, PREDICT, bearer(keys.texts["m:predict"]))[0] == 200
            assert time.monotonic() < until
            time.sleep(0.05)
        assert ask(server, PREDICT)[0] == 401


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


@pytest.mark.parametrize("kind", [Server, Workers])
def test_others_are_not_let_reach_a_server_by_accident(store, tmp_path, kind):
    workers = {"workers": 2} if kind is Workers else {}
    for told in ({"host": "0.0.0.0"}, {"host": "::"}, {"uds": tmp_path / "s", "grpc_port": 0, "host": "0.0.0.0"}):
        with pytest.raises(ResourceError, match="penjing keys create"):
            kind(StoreCatalogue(store), ServeRecipe.model_validate({"port": 0} | workers | told))
    assert not (tmp_path / "s").exists()


def test_a_server_starts_only_with_keys_that_are_good(store, tmp_path):
    file = tmp_path / "keys.json"
    with pytest.raises(KeyFileError, match="cannot be read"):
        Server(StoreCatalogue(store), ServeRecipe(port=0, keys=file), open_with=fresh)
    made = new_key("a", [Scope.parse("*:predict")])
    add_key(file, made)
    revoke_key(file, made.key.id)
    with pytest.raises(KeyFileError, match="no key that is good now"):
        Server(StoreCatalogue(store), ServeRecipe(port=0, keys=file), open_with=fresh)


@pytest.mark.parametrize(
    ("told", "match"),
    [({"access_control": True}, "wants keys"), ({"access_control": False, "keys": "a"}, "contradict")],
)
def test_settings_that_contradict_each_other(told, match):
    with pytest.raises(ValidationError, match=match):
        ServeRecipe.model_validate(told)
