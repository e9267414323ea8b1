"""What the gateway reads of a request line says the same as the server's own table of dialects."""

from __future__ import annotations

import pytest

from penjing.core.errors import OverloadedError
from penjing.fleet.calls import Body, call_of, work_of
from penjing.fleet.headers import to_client, to_replica
from penjing.serve import ServeRecipe
from penjing.serve.api.mounts import all_mounts
from penjing.store.store import Store
from serve.doubles import publish, serving

BUSY = OverloadedError("busy", retry_after_s=3)
CHANGING = ("/load", "/unload")


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    """Method, path as sent, and the dialect that it is for."""
    store = Store(tmp_path_factory.mktemp("calls"))
    publish(store)
    with serving(store) as server:
        found = []
        for mount in all_mounts(server.plane, ServeRecipe()):
            for route in mount.dialect.description.routes if hasattr(mount.dialect, "description") else ():
                path = route.path.replace("{model}", "m").replace("{version}", "1").replace("{label}", "stable")
                if mount.prefix and route.where != "bare":
                    found.append((route.method, mount.prefix + path, mount.dialect))
                if mount.is_bare and route.where != "prefix" and mount.dialect.claims(path):
                    found.append((route.method, path, mount.dialect))
        return found


def test_errors_are_told_in_the_words_of_the_dialect_that_was_asked(routes):
    assert len(routes) > 50
    for method, path, dialect in routes:
        told = call_of(method, path).fault(BUSY)
        if type(dialect).__name__ not in ("Health", "SelfDescription"):
            assert told == dialect.fault(BUSY), path
        assert (b"retry-after", b"3") in told.headers, path


def test_what_predicts_or_reads_may_be_made_twice_and_what_changes_may_not(routes):
    for method, path, _ in routes:
        assert call_of(method, path).is_harmless == (not path.endswith(CHANGING)), (method, path)
    for method, path in [("DELETE", "/v1/knowledge/b/documents/1"), ("POST", "/v1/knowledge/b/documents")]:
        assert not call_of(method, path).is_harmless
    assert call_of("POST", "/v1/knowledge/b/ask").is_harmless
    assert not call_of("POST", "/of/nobody").is_harmless


def test_paths_name_models(routes):
    for method, path, _ in routes:
        named = "/m" in path.removesuffix("/models/stats").replace("/models", "").replace("/metadata", "").replace(
            "/metrics", ""
        ).replace("/monitoring", "")
        if "/openai" not in path:
            assert call_of(method, path).model == ("m" if named else ""), path
    assert call_of("POST", "/v1/models/a%20b:predict").model == "a b"
    assert call_of("POST", "/v1/chat/completions").names_model


def test_work_grows_with_what_is_read_and_with_what_may_be_written():
    predict, chat = call_of("POST", "/v1/models/m:predict"), call_of("POST", "/v1/chat/completions")
    assert work_of(predict, Body(b"x" * 400)).tokens > work_of(predict, Body(b"x" * 40)).tokens + 80
    few, many = (work_of(chat, Body(b'{"max_tokens": %d}' % count)).tokens for count in (1, 1000))
    assert many > few + 900
    assert work_of(chat, Body(b"no json")).tokens > 100
    assert work_of(chat, Body(b'{"max_tokens": true, "messages": 3}'), with_prefix=True).tokens > 0
    same = b'{"prompt": "' + b"a" * 600 + b'"}'
    assert work_of(chat, Body(same), with_prefix=True).prefix == work_of(chat, Body(same), with_prefix=True).prefix
    assert len(work_of(chat, Body(same), with_prefix=True).prefix) == 4


def test_headers_of_one_connection_are_not_passed_on():
    came = [(b"connection", b"Keep-Alive, X-Own"), (b"keep-alive", b"5"), (b"x-own", b"1"), (b"accept", b"*/*")]
    assert to_client(came) == [(b"accept", b"*/*")]
    forwarded = to_replica([*came, (b"host", b"h"), (b"x-forwarded-for", b"1.1.1.1")], client="2.2.2.2")
    assert forwarded == [(b"accept", b"*/*"), (b"x-forwarded-for", b"1.1.1.1, 2.2.2.2")]
