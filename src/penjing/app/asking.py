"""One HTTP question to a running server, with the reply as JSON."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from penjing.core.errors import ResourceError


def ask(url: str, path: str, body: bytes | None = None, *, timeout_s: float = 30.0) -> Any:
    """POST ``body``, or GET where there is none.

    Raises:
        ResourceError: nobody answers, or the answer is an error; it is quoted.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
    try:
        connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
        reply = connection.getresponse()
        content = reply.read()
    except OSError as error:
        raise ResourceError(f"{url}{path} does not answer: {error}", expected="a running server") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise ResourceError(f"{url}{path} answered {reply.status}: {content[:500].decode(errors='replace')}")
    return json.loads(content)
