"""TensorFlow Serving's error form and status table.

Messages that clients search for are raised with ``came`` alone and appear exactly so; Penjing's own
errors appear whole, with what was expected and what to do.

Source: ``model_servers/http_server.cc`` (ToHTTPStatusCode) and ``util/json_tensor.cc``.
"""

from __future__ import annotations

import json
import math

from penjing.core.errors import (
    DeadlineError,
    DepartedError,
    InvalidRequestError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    PenjingError,
    TooLargeError,
)
from penjing.serve.api.http import Headers, Reply

# Nearest class first: an error takes the row of the first class in its ancestry that has one.
STATUS: dict[type[Exception], tuple[int, str]] = {
    TooLargeError: (413, "INVALID_ARGUMENT"),
    InvalidRequestError: (400, "INVALID_ARGUMENT"),
    ModelNotFoundError: (404, "NOT_FOUND"),
    NotReadyError: (503, "UNAVAILABLE"),
    OverloadedError: (503, "UNAVAILABLE"),
    DeadlineError: (504, "DEADLINE_EXCEEDED"),
    DepartedError: (499, "CANCELLED"),
    Exception: (500, "INTERNAL"),
}


def status_of(error: Exception) -> tuple[int, str]:
    """HTTP status and canonical code of an error."""
    if isinstance(error, DeadlineError) and error.waiting:
        return 429, "RESOURCE_EXHAUSTED"
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def message_of(error: Exception) -> str:
    """The text behind ``error``."""
    if isinstance(error, DeadlineError) and error.waiting:
        return f"Run() timeout exceeded while waiting in batching queue: {error}"
    if not isinstance(error, PenjingError):
        return "internal error; see the server's log"
    return str(error) if error.expected or error.do else error.came


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    headers: Headers = []
    if isinstance(error, OverloadedError):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
    text = json.dumps(message_of(error), ensure_ascii=False)
    body = f'{{\n    "error": {text}\n}}'.encode("utf-8", "replace")
    return Reply(status_of(error)[0], body, headers=headers)
