"""How an error is told over gRPC: one table for all services.

A full queue is RESOURCE_EXHAUSTED and says in ``grpc-retry-pushback-ms`` when to come back, so that clients
with a retry policy do not fall upon a server that has no room; UNAVAILABLE is for what another replica could
answer at once. A deadline that passes in the queue is DEADLINE_EXCEEDED if the caller set it, and
TensorFlow Serving's RESOURCE_EXHAUSTED if it is the server's own.

Source: grpc/grpc, ``doc/statuscodes.md``; gRFC A6 (pushback).
"""

from __future__ import annotations

import math

from penjing.core.errors import (
    DeadlineError,
    DepartedError,
    ForbiddenError,
    InvalidRequestError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.faults import is_late, row_of

STATUS: dict[type[Exception], str] = {
    InvalidRequestError: "INVALID_ARGUMENT",
    PreconditionError: "FAILED_PRECONDITION",
    UnauthenticatedError: "UNAUTHENTICATED",
    ForbiddenError: "PERMISSION_DENIED",
    UnsupportedError: "UNIMPLEMENTED",
    ModelNotFoundError: "NOT_FOUND",
    NotReadyError: "UNAVAILABLE",
    OverloadedError: "RESOURCE_EXHAUSTED",
    DeadlineError: "DEADLINE_EXCEEDED",
    DepartedError: "CANCELLED",
    Exception: "INTERNAL",
}
_PUSHBACK = "grpc-retry-pushback-ms"
_MOST_BYTES = 2000  # a client takes 8 KiB of trailing metadata, and each byte may need three


def status_of(error: Exception, *, is_stopping: bool = False, is_callers: bool = False) -> str:
    """Name of the status code.

    Args:
        error: what happened.
        is_stopping: the server is, so that no retry has a chance here.
        is_callers: the deadline was the caller's own.
    """
    if is_stopping and isinstance(error, OverloadedError):
        return "UNAVAILABLE"
    return "RESOURCE_EXHAUSTED" if is_late(error) and not is_callers else row_of(error, STATUS)


def pushback(error: Exception, *, is_stopping: bool = False) -> tuple[tuple[str, str], ...]:
    """Trailing metadata that tells when a retry has a chance."""
    if isinstance(error, OverloadedError) and not is_stopping:
        return ((_PUSHBACK, str(max(1, math.ceil(error.retry_after_s * 1000)))),)
    return ()


def shortened(text: str) -> str:
    """As much of a message as a client takes."""
    encoded = text.encode("utf-8", "replace")
    return encoded.decode() if len(encoded) <= _MOST_BYTES else encoded[:_MOST_BYTES].decode("utf-8", "ignore") + " …"
