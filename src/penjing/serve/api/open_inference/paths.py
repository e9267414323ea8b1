"""Which call a path stands for, and by which verb.

Paths are matched as they were sent, then decoded. Besides the protocol's version numbers an alias of the
store is taken: ``/versions/stable``.

Source: triton-inference-server/server, ``src/http_server.cc`` (the expressions in HTTPAPIServer and
``Handle``); KServe's ``GET /v2/models``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from penjing.core.errors import InvalidRequestError

_MODEL = re.compile(
    r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(infer|generate|generate_stream|ready|config|stats))?"
)
_CONTROL = re.compile(r"/v2/repository/models/([^/]+)/(load|unload)")
_PLAIN = {
    "/v2": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "server-ready",
    "/v2/models": "models",
    "/v2/models/stats": "stats",
    "/v2/repository/index": "index",
}
# What Triton has besides and Penjing has not.
_UNSUPPORTED = re.compile(
    r"/v2/(?:(?:system|cuda)sharedmemory(?:/region/[^/]+)?/(?:status|register|unregister)"
    r"|logging|(?:models/[^/]+/)?trace/setting"
    r"|repository/[^/]+/(?:index|models/[^/]+/(?:load|unload)))"
)
_POST = {"infer", "generate", "generate_stream", "index", "load", "unload"}
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked.

    Attributes:
        kind: which call; ``unsupported`` is one of Triton's that Penjing has not.
        model: decoded; empty where the call is about all of them.
        ref: version number or alias; None for the newest available.
    """

    kind: str
    model: str = ""
    ref: int | str | None = None

    def allows(self, method: str) -> bool:
        """Whether the call is made with this verb."""
        return method == "POST" if self.kind in _POST else method in ("GET", "HEAD")


@lru_cache(maxsize=1024)
def parse_call(path: str) -> Call | None:
    """Read a path; None if there is no such call.

    Raises:
        InvalidRequestError: the version is too large for any.
    """
    if kind := _PLAIN.get(path):
        return Call(kind)
    if found := _MODEL.fullmatch(path):
        return Call(found[3] or "metadata", unquote(found[1]), parse_ref(unquote(found[2] or "")))
    if found := _CONTROL.fullmatch(path):
        return Call(found[2], unquote(found[1]))
    return Call("unsupported") if _UNSUPPORTED.fullmatch(path) else None


def parse_ref(text: str) -> int | str | None:
    """Version number or alias; None where the text is empty.

    Raises:
        InvalidRequestError: the version is too large for any.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return text
    if len(text.lstrip("0")) > _MAX_DIGITS:
        raise InvalidRequestError(
            f"failed to get model version from specified version string '{text[:40]}'",
            expected=f"a version of at most {_MAX_DIGITS} digits",
        )
    return int(text[-_MAX_DIGITS:])
