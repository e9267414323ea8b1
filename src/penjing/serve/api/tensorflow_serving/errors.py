"""TensorFlow Serving's error form and status table.

Messages that clients search for are raised with ``came`` alone and appear exactly so; Penjing's own
errors appear whole, with what was expected and what to do.

Source: ``model_servers/http_server.cc`` (ToHTTPStatusCode) and ``util/json_tensor.cc``.
"""

from __future__ import annotations

import json

from penjing.core.errors import (
    DeadlineError,
    DepartedError,
    ForbiddenError,
    InvalidRequestError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    QuotaError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.faults import code_of, come_back, is_late, row_of, text_of
from penjing.serve.api.http import Reply

STATUS: dict[type[Exception], int] = {
    TooLargeError: 413,
    InvalidRequestError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    UnsupportedError: 501,
    ModelNotFoundError: 404,
    NotReadyError: 503,
    QuotaError: 429,
    OverloadedError: 503,
    DeadlineError: 504,
    DepartedError: 499,
    Exception: 500,
}


def status_of(error: Exception) -> tuple[int, str]:
    """HTTP status and canonical code of an error."""
    return 429 if is_late(error) else row_of(error, STATUS), code_of(error)


def message_of(error: Exception) -> str:
    """The text behind ``error``."""
    if is_late(error):
        return f"Run() timeout exceeded while waiting in batching queue: {error}"
    return text_of(error)


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    text = json.dumps(message_of(error), ensure_ascii=False)
    body = f'{{\n    "error": {text}\n}}'.encode("utf-8", "replace")
    return Reply(status_of(error)[0], body, headers=come_back(error))
