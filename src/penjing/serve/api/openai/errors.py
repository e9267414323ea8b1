"""OpenAI's error object and table of statuses.

Source: openai/openai-openapi (``Error``); the ``type`` and ``code`` of each as its API answers.
"""

from __future__ import annotations

from penjing.core.errors import (
    ContextLengthError,
    DeadlineError,
    DepartedError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.faults import come_back, row_of, text_of
from penjing.serve.api.http import Headers, Reply, json_reply

_INVALID, _SERVER, _BUSY = "invalid_request_error", "server_error", "rate_limit_error"

# Class → status, type, code.
STATUS: dict[type[Exception], tuple[int, str, str | None]] = {
    ContextLengthError: (400, _INVALID, "context_length_exceeded"),
    TooLargeError: (413, _INVALID, None),
    InvalidRequestError: (400, _INVALID, None),
    UnauthenticatedError: (401, _INVALID, "invalid_api_key"),
    ForbiddenError: (403, _INVALID, "insufficient_permissions"),
    UnsupportedError: (400, _INVALID, "unsupported"),
    ModelNotFoundError: (404, _INVALID, "model_not_found"),
    NotReadyError: (503, _SERVER, "model_not_ready"),
    OverloadedError: (429, _BUSY, "rate_limit_exceeded"),
    DeadlineError: (408, _SERVER, "timeout"),
    DepartedError: (499, _INVALID, None),
    Exception: (500, _SERVER, None),
}


def status_of(error: Exception) -> int:
    """HTTP status of an error."""
    return row_of(error, STATUS)[0]


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    status, kind, code = row_of(error, STATUS)
    param = error.field if isinstance(error, FieldError) else "model" if code == "model_not_found" else None
    return refusal(status, text_of(error), kind=kind, code=code, param=param, headers=come_back(error))


def refusal(
    status: int,
    text: str,
    *,
    kind: str = _INVALID,
    code: str | None = None,
    param: str | None = None,
    headers: Headers | None = None,
) -> Reply:
    """An error object."""
    return json_reply(status, {"error": {"message": text, "type": kind, "param": param, "code": code}}, headers=headers)
