"""The OpenAPI document of all dialects, composed from what each says of itself, and the route that gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from penjing.core.version import __version__
from penjing.security.needs import LOOK
from penjing.serve.api.faults import plain_fault
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.api.routes import TEXT, Description, Route, Schema, record
from penjing.serve.api.site import Mount

PATH = "/openapi.json"
_PLACEHOLDER = re.compile(r"{(\w+)}")
_JSON = "application/json"
_ALWAYS = (400, 405, 500)  # what any route may answer
_PLACES: dict[str, Schema] = {
    "model": TEXT,
    "version": {"type": "integer", "minimum": 1},
    "label": TEXT,
    "base": TEXT,
    "document": TEXT,
}
_TIMEOUT = {
    "name": "x-penjing-timeout-ms",
    "in": "header",
    "description": "An earlier deadline than the server's own, in milliseconds.",
    "schema": {"type": "number", "minimum": 0},
}
DESCRIPTION = Description(
    "Server",
    "The server's description of itself.",
    (Route("GET", PATH, "This document.", record({"openapi": TEXT}), where="bare", needs=LOOK),),
    record({"error": TEXT}),
)


class SelfDescription:
    """Gives the document.

    Args:
        mounts: the dialects to describe.
    """

    description = DESCRIPTION

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self._body = json.dumps(document([*mounts, Mount(self)]), ensure_ascii=False).encode()

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path == PATH

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        if request.method not in ("GET", "HEAD"):
            return json_reply(405, {"error": f"{request.method} {PATH}: expected GET"})
        return Reply(200, self._body)

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return plain_fault(error)


def document(mounts: Sequence[Mount]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes, those under strict prefixes included."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Schema] = {}
    for mount in mounts:
        said = mount.dialect.description
        schemas |= {_error_name(said): said.error, **said.schemas}
        for route in said.routes:
            for path in places(route, mount):
                paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penjing", "version": __version__, "summary": "One server, many dialects."},
        "tags": [
            {"name": one.dialect.description.name, "description": one.dialect.description.about} for one in mounts
        ],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def places(route: Route, mount: Mount) -> Iterator[str]:
    """The paths that a route answers at: bare, and under the strict prefix."""
    if mount.is_bare and route.where != "prefix":
        yield route.path
    if mount.prefix and route.where != "bare":
        yield mount.prefix + route.path


def _operation(route: Route, path: str, said: Description) -> dict[str, Any]:
    parameters: list[Any] = [
        {"name": name, "in": "path", "required": True, "schema": _PLACES[name]} for name in _PLACEHOLDER.findall(path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": meaning, "schema": TEXT} for name, meaning in route.query.items()
    ]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "-", f"{route.method.lower()}{path}").strip("-"),
        "tags": [said.name],
        "summary": route.summary,
        "responses": _responses(route, said),
    }
    if route.body is not None:
        operation["requestBody"] = {"content": {_JSON: {"schema": route.body, "example": route.example}}}
        parameters.append(_TIMEOUT)
    return operation | ({"parameters": parameters} if parameters else {})


def _responses(route: Route, said: Description) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": "Answered."}
    if route.answer is not None:
        answered["content"] = {route.content_type: {"schema": route.answer}}
    is_never_answered = route.status in route.errors and not route.answer
    told = {} if is_never_answered else {"200" if route.status in route.errors else str(route.status): answered}
    error = {_JSON: {"schema": {"$ref": f"#/components/schemas/{_error_name(said)}"}}}
    for status in sorted({*_ALWAYS, *route.errors}):
        told[str(status)] = {"description": f"{_phrase(status)}.", "content": error}
    return told


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase.capitalize() if status in set(HTTPStatus) else "Failed"


def _error_name(said: Description) -> str:
    return f"{said.name.replace(' ', '')}Error"
