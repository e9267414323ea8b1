"""Which call a method and target stand for.

The expressions are matched against path *and* query, before anything is decoded, and ignore case
where the captured method does not: ``:PREDICT`` is malformed, ``/V1/Models/m:predict`` is not.

Source: ``model_servers/http_rest_api_util.cc``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from penjing.core.errors import InvalidRequestError

Kind = Literal["predict", "classify", "regress", "status", "metadata"]

_PREFIX = r"/v1/models"
_VERSION = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_POST = re.compile(rf"{_PREFIX}/([^/:]+){_VERSION}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(rf"{_PREFIX}(?:/([^/:]+))?{_VERSION}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_CALLS: dict[str, Kind] = {"predict": "predict", "classify": "classify", "regress": "regress"}
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of which version.

    Attributes:
        model: decoded; empty for the list of all models.
        ref: version, label, or None for the latest.
    """

    kind: Kind
    model: str
    ref: int | str | None

    def __str__(self) -> str:
        """The servable as TensorFlow Serving prints it."""
        return f"Specific({self.model}, {self.ref})" if isinstance(self.ref, int) else f"Latest({self.model})"


@lru_cache(maxsize=1024)
def parse_call(method: str, target: str) -> Call:
    """Read a request line.

    Raises:
        InvalidRequestError: with TensorFlow Serving's own words.
    """
    found = {"POST": _POST, "GET": _GET}[method].fullmatch(target) if method in ("POST", "GET") else None
    malformed = InvalidRequestError(f"Malformed request: {method} {target}")
    if found is None:
        raise malformed
    name, version, label, last = found.groups()
    ref = _ref(version, label)
    if method == "POST":
        if last not in _CALLS:
            raise malformed
        return Call(_CALLS[last], unquote(name), ref)
    return Call("metadata" if last == "metadata" else "status", unquote(name or ""), ref)


def _ref(version: str | None, label: str | None) -> int | str | None:
    if version is None:
        return unquote(label) if label else None
    number = int(version) if len(version) < 4000 else _MAX_INT64 + 1
    if number > _MAX_INT64:
        raise InvalidRequestError(f"Failed to convert version: {version} to numeric.")
    return number
