"""What all dialects say alike of an error: its canonical code, its text, when to come back.

The codes are gRPC's; they stand in the metrics and in the state of versions, so that a count means the
same whichever protocol was spoken. HTTP statuses are each dialect's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

from penjing.core.errors import (
    DeadlineError,
    DepartedError,
    ForbiddenError,
    InvalidRequestError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    PenjingError,
    PreconditionError,
    QuotaError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.http import Headers, Reply, json_reply

Row = TypeVar("Row")

# Nearest class first: an error takes the row of the first class in its ancestry that has one.
CODES: dict[type[Exception], str] = {
    InvalidRequestError: "INVALID_ARGUMENT",
    PreconditionError: "FAILED_PRECONDITION",
    UnauthenticatedError: "UNAUTHENTICATED",
    ForbiddenError: "PERMISSION_DENIED",
    UnsupportedError: "UNIMPLEMENTED",
    ModelNotFoundError: "NOT_FOUND",
    NotReadyError: "UNAVAILABLE",
    QuotaError: "RESOURCE_EXHAUSTED",
    OverloadedError: "UNAVAILABLE",
    DeadlineError: "DEADLINE_EXCEEDED",
    DepartedError: "CANCELLED",
    Exception: "INTERNAL",
}


_PLAIN: dict[type[Exception], int] = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    QuotaError: 429,
    Exception: 500,
}


def plain_fault(error: Exception) -> Reply:
    """The reply for an error, from parts of the server that speak no dialect."""
    return json_reply(row_of(error, _PLAIN), {"error": text_of(error)}, headers=come_back(error))


def code_of(error: Exception) -> str:
    """The canonical code; a deadline that passed before any engine took the request up is a lack of room."""
    if is_late(error):
        return "RESOURCE_EXHAUSTED"
    return row_of(error, CODES)


def row_of(error: Exception, table: Mapping[type[Exception], Row]) -> Row:
    """An error's row of a dialect's table."""
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def is_late(error: Exception) -> bool:
    """Whether the deadline passed while the request still waited."""
    return isinstance(error, DeadlineError) and error.waiting


def text_of(error: Exception) -> str:
    """What a client may read: the error's own words, or nothing of a fault of ours.

    Words that clients search for are raised with ``came`` alone, and stand exactly so.
    """
    if not isinstance(error, PenjingError):
        return "internal error; see the server's log"
    return str(error) if error.expected or error.do else error.came


def come_back(error: Exception) -> Headers:
    """``Retry-After`` where a retry has a chance, ``WWW-Authenticate`` where a credential would give one."""
    if isinstance(error, UnauthenticatedError):
        return [(b"www-authenticate", b'Bearer realm="penjing"')]
    if isinstance(error, OverloadedError):
        return [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s)))]
    return []
