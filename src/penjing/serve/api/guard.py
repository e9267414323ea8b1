"""Which declared route a request is for, and the permit that it gets before its dialect sees it.

A path that is declared nowhere is still handed to its dialect, for its own words (404, 405), but without any right;
were it to answer well all the same, the answer would not go out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import final
from urllib.parse import unquote

from penjing.core.errors import ForbiddenError
from penjing.security.access import CREDENTIALS, Access
from penjing.security.permits import NOTHING, give
from penjing.serve.api.http import Reply, Request, Stream
from penjing.serve.api.routes import Route

KNOWLEDGE = "knowledge/"
_PLACE = re.compile(r"{(\w+)}")
_FIELDS = {"base": r"[^/]+", "document": r"[^/]+"}
_FIELD = r"[^/:]+"
_ERRORS_FROM = 400
_ENCODED = {name.encode(): name for name in CREDENTIALS}

Found = tuple[Route, Mapping[str, str]] | None


@final
class RouteTable:
    """The routes of a dialect, to be looked up as requests come: by the path as it was sent, nothing decoded.

    Args:
        routes: that are declared.
        is_prefixed: the table is for requests under the strict prefix.
    """

    def __init__(self, routes: Sequence[Route], *, is_prefixed: bool) -> None:
        here = [route for route in routes if route.where in ("both", "prefix" if is_prefixed else "bare")]
        # Names before patterns, so that /v2/models/stats is no model.
        self._routes = [(_expression(route.path), route) for route in sorted(here, key=lambda one: "{" in one.path)]
        self.find = lru_cache(maxsize=1024)(self._find)

    def _find(self, method: str, path: str) -> Found:
        """The route of a request and the values in its path, decoded; None where none is declared."""
        method = "GET" if method == "HEAD" else method
        for expression, route in self._routes:
            if route.method == method and (found := expression.fullmatch(path or "/")):
                return route, {name: unquote(value) for name, value in found.groupdict().items()}
        return None


def _expression(path: str) -> re.Pattern[str]:
    parts, end = [], 0
    for found in _PLACE.finditer(path):
        parts += [re.escape(path[end : found.start()]), f"(?P<{found[1]}>{_FIELDS.get(found[1], _FIELD)})"]
        end = found.end()
    return re.compile("".join(parts) + re.escape(path[end:]), re.IGNORECASE)  # TensorFlow Serving ignores case


@final
class Guard:
    """Lets requests in.

    Args:
        access: decides.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def admit(self, request: Request, table: RouteTable) -> bool:
        """Give the request its permit; whether its route is declared.

        Raises:
            UnauthenticatedError, ForbiddenError, QuotaError: it is not let in.
        """
        give(NOTHING)  # what the connection's last request was given ends here
        found = table.find(request.method, request.target.partition("?")[0])
        route, values = found or (None, {})
        name = values.get("model")
        if name is None and "base" in values:
            name = KNOWLEDGE + values["base"]
        sent = [(_ENCODED[key], value.decode("latin-1")) for key, value in request.headers if key in _ENCODED]
        permit = self._access.admit(sent, route.needs if route else None, name=name)
        self._access.allowed(permit, what=request.what, peer=request.peer)
        give(permit)
        return route is not None and route.needs is not None

    def refused(self, request: Request, error: Exception) -> None:
        """Write a refusal down, wherever it was met."""
        self._access.refused(error, what=request.what, peer=request.peer)

    @staticmethod
    def check(reply: Reply | Stream, request: Request) -> None:
        """Hold back what a path that is not declared was answered with, unless it is an error.

        Raises:
            ForbiddenError: it is none.
        """
        if reply.status < _ERRORS_FROM:
            raise ForbiddenError(f"{request.method} {request.path} is no route that anybody has a right to")
