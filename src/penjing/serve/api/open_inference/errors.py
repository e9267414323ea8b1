"""The protocol's error form and Penjing's table of statuses.

Where Triton's code and KServe's differ, the one that tells a client more is taken: what is not ready
gives 503 (Triton: 400).

Source: triton-inference-server/server, ``src/http_server.cc``; kserve/kserve, ``errors.py``.
"""

from __future__ import annotations

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
from penjing.serve.api.faults import come_back, is_late, row_of, text_of
from penjing.serve.api.http import Headers, Reply, json_reply

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


def status_of(error: Exception) -> int:
    """HTTP status of an error; a request that waited too long is one that there was no room for."""
    return 503 if is_late(error) else row_of(error, STATUS)


def message_of(error: Exception) -> str:
    """The text behind ``error``."""
    return f"Request timeout expired: {text_of(error)}" if is_late(error) else text_of(error)


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    return refusal(status_of(error), message_of(error), headers=come_back(error))


def refusal(status: int, text: str, *, headers: Headers | None = None) -> Reply:
    """An error that is none of ours: no such path, or not by this verb."""
    return json_reply(status, {"error": text}, headers=headers)
