"""The error object and the statuses: the parts of an error as the command line's ``--json`` tells them."""

from __future__ import annotations

from penjing.core.errors import (
    DataError,
    DeadlineError,
    DepartedError,
    ForbiddenError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    PenjingError,
    StoreError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.faults import come_back, row_of
from penjing.serve.api.http import Reply, json_reply

STATUS: dict[type[Exception], int] = {
    TooLargeError: 413,
    InvalidRequestError: 400,
    DataError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    UnsupportedError: 403,
    ModelNotFoundError: 404,
    NotFoundError: 404,
    StoreError: 503,
    NotReadyError: 503,
    OverloadedError: 429,
    DeadlineError: 504,
    DepartedError: 499,
    Exception: 500,
}


def status_of(error: Exception) -> int:
    """HTTP status of an error."""
    return row_of(error, STATUS)


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    if not isinstance(error, PenjingError):
        return refusal(500, "internal error; see the server's log", code="internal")
    return json_reply(status_of(error), {"error": error.as_dict()}, headers=come_back(error))


def refusal(status: int, came: str, *, expected: str = "", code: str = "invalid-request") -> Reply:
    """An error object without an error."""
    return json_reply(status, {"error": {"code": code, "came": came, "expected": expected, "do": ""}})
