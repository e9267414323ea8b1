"""Which dialect a request is for, and what becomes of it whatever the dialect does."""

from __future__ import annotations

import asyncio

import pytest

from penjing.core.errors import OverloadedError
from penjing.serve.api.http import Reply
from penjing.serve.api.openapi import document
from penjing.serve.api.routes import TEXT, Description, Route, record
from penjing.serve.api.site import Mount, Site


class Echo:
    """Says its name and what it saw of a request."""

    def __init__(self, name, claimed=(), raises=None):
        self.name, self.claimed, self.raises = name, claimed, raises
        routes = tuple(Route("GET", path, "Says what it saw.", TEXT) for path in claimed)
        self.description = Description(name, "An echo.", routes, record({"error": TEXT}))

    def claims(self, path):
        return path in self.claimed

    async def answer(self, request):
        if self.raises:
            raise self.raises
        said = f"{self.name} {request.prefix} {request.path} {request.target} {sorted(request.query.items())}"
        return Reply(200, said.encode())

    def fault(self, error):
        return Reply(400, f"{self.name}: {error}".encode())


def ask(site, path, *, raw=None, query=b"", method="GET", headers=()):
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": raw or path.encode(), "query_string": query,
        "headers": list(headers),
    }  # fmt: skip
    said = []

    async def run():
        async def send(message):
            said.append(message)

        async def receive():
            return {"type": "http.request", "body": b""}

        await site(scope, receive, send)

    asyncio.run(run())
    return said[0]["status"], said[1]["body"].decode(), dict(said[0]["headers"])


def site_of(*mounts, **told):
    return Site(mounts, max_body_bytes=100, request_timeout_ms=1000, **told)


@pytest.fixture
def site():
    return site_of(
        Mount(Echo("first", ("/a", "/b")), "/one"),
        Mount(Echo("second", ("/b", "/c")), "/two"),
        Mount(Echo("third", ("/d",)), "/three", is_bare=False),
    )


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a", "first  /a /a []"),
        ("/b", "first  /b /b []"),
        ("/c", "second  /c /c []"),
        ("/one/a", "first /one /a /a []"),
        ("/one/z", "first /one /z /z []"),
        ("/two", "second /two   []"),
        ("/two/", "second /two / / []"),
        ("/two/one/a", "second /two /one/a /one/a []"),
        ("/three/d", "third /three /d /d []"),
    ],
)
def test_the_first_that_claims_or_the_one_that_is_named(site, path, seen):
    assert ask(site, path)[:2] == (200, seen)


@pytest.mark.parametrize("path", ["/d", "/onea", "/", ""])
def test_nobodys_path_is_a_page_that_says_so(site, path):
    status, body, headers = ask(site, path)
    assert (status, headers[b"content-type"]) == (404, b"text/html")
    assert "404 Not Found" in body


def test_a_prefix_counts_as_it_was_sent(site):
    assert ask(site, "/one/a b", raw=b"/one/a%20b", query=b"x=1&y=%C3%A9&x=2")[1] == (
        "first /one /a b /a%20b?x=1&y=%C3%A9&x=2 [('x', '2'), ('y', 'é')]"
    )
    assert ask(site, "/one/a", raw=b"/on%65/a")[0] == 404


@pytest.mark.parametrize("error", [RuntimeError("broken"), OverloadedError("full", retry_after_s=1)])
def test_an_error_becomes_a_reply_in_the_dialects_form(error, caplog):
    status, body, _ = ask(site_of(Mount(Echo("first", ("/a",), raises=error))), "/a")
    assert (status, body.startswith("first: ")) == (400, True)
    assert bool(caplog.records) == isinstance(error, RuntimeError)


def test_browsers_are_let_in_only_where_told(site):
    told = {"method": "OPTIONS", "headers": [(b"origin", b"http://here")]}
    assert b"access-control-allow-origin" not in ask(site, "/a", **told)[2]
    open_site = site_of(Mount(Echo("first", ("/a",), raises=RuntimeError("broken"))), cors=True)
    status, body, headers = ask(open_site, "/a", **told)
    assert (status, body, headers[b"access-control-allow-origin"]) == (200, "", b"*")
    assert ask(open_site, "/a")[2][b"access-control-allow-origin"] == b"*"
    assert ask(open_site, "/z")[0] == 404


def test_the_document_tells_each_place_of_each_route():
    mounts = [Mount(Echo("first", ("/a",)), "/one"), Mount(Echo("third", ("/d",)), "/three", is_bare=False)]
    told = document(mounts)
    assert set(told["paths"]) == {"/a", "/one/a", "/three/d"}
    assert told["paths"]["/a"]["get"]["operationId"] == "get-a"
    assert [tag["name"] for tag in told["tags"]] == ["first", "third"]
