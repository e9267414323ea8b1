"""One HTTP question to a running server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from penjing.core.errors import ResourceError

_JSON = {"Content-Type": "application/json"}


def ask(url: str, path: str, body: bytes | None = None, *, timeout_s: float = 30.0) -> Any:
    """POST ``body``, or GET where there is none; the reply as JSON.

    Raises:
        ResourceError: nobody answers, or the answer is an error; it is quoted.
    """
    status, content = exchange(url, path, body, headers=_JSON if body else {}, timeout_s=timeout_s)
    if status != 200:
        raise ResourceError(f"{url}{path} answered {status}: {content[:500].decode(errors='replace')}")
    return json.loads(content)


def exchange(
    url: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str], timeout_s: float = 30.0
) -> tuple[int, bytes]:
    """POST ``body``, or GET where there is none; status and body of the reply, whatever they are.

    Raises:
        ResourceError: nobody answers.
    """
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.netloc, timeout=timeout_s)
    try:
        connection.request("POST" if body else "GET", path, body, dict(headers))
        reply = connection.getresponse()
        return reply.status, reply.read()
    except OSError as error:
        raise ResourceError(f"{url}{path} does not answer: {error}", expected="a running server") from error
    finally:
        connection.close()
