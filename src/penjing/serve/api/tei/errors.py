"""TEI's error form and table of statuses.

What axum, TEI's web framework, refuses before TEI sees it (a body that is not JSON, or not of the form)
has axum's status here, but TEI's form: axum's is plain text.

Source: huggingface/text-embeddings-inference, ``router/src/http/server.rs`` (From<&ErrorType> for
StatusCode), ``router/src/lib.rs`` (ErrorType), ``core/src/lib.rs`` (TextEmbeddingsError).
"""

from __future__ import annotations

from penjing.core.errors import (
    DeadlineError,
    DepartedError,
    EmptyError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    MalformedError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    QuotaError,
    ServingError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedError,
)
from penjing.serve.api.faults import come_back, is_late, row_of, text_of
from penjing.serve.api.http import Headers, Reply, json_reply

_UNHEALTHY, _BACKEND, _OVERLOADED, _VALIDATION, _EMPTY = "Unhealthy", "Backend", "Overloaded", "Validation", "Empty"

STATUS: dict[type[Exception], tuple[int, str]] = {
    TooLargeError: (413, _VALIDATION),
    MalformedError: (400, _VALIDATION),
    EmptyError: (400, _EMPTY),
    FieldError: (422, _VALIDATION),
    InvalidRequestError: (413, _VALIDATION),
    UnauthenticatedError: (401, _VALIDATION),
    ForbiddenError: (403, _VALIDATION),
    UnsupportedError: (424, _BACKEND),
    ModelNotFoundError: (404, _VALIDATION),
    NotReadyError: (503, _UNHEALTHY),
    OverloadedError: (429, _OVERLOADED),
    DeadlineError: (424, _BACKEND),
    DepartedError: (499, _BACKEND),
    ServingError: (424, _BACKEND),
    Exception: (500, _BACKEND),
}
_BEFORE = {_VALIDATION: "Input validation error: ", _EMPTY: "Input validation error: ", _BACKEND: "Backend error: "}


def kind_of(error: Exception) -> tuple[int, str]:
    """HTTP status and TEI's type of an error."""
    return (429, _OVERLOADED) if is_late(error) else row_of(error, STATUS)


def status_of(error: Exception) -> int:
    """HTTP status of an error."""
    return kind_of(error)[0]


def fault(error: Exception) -> Reply:
    """The reply for an error."""
    status, kind = kind_of(error)
    is_access = isinstance(error, UnauthenticatedError | ForbiddenError | QuotaError)
    if is_access:  # nothing was wrong with the input
        return refusal(status, text_of(error), kind=kind, headers=come_back(error))
    text = "Model is overloaded" if isinstance(error, OverloadedError) else _BEFORE.get(kind, "") + text_of(error)
    return refusal(status, text, kind=kind, headers=come_back(error))


def unhealthy() -> Reply:
    """What ``/health`` answers before the models are ready."""
    return refusal(503, "unhealthy", kind=_UNHEALTHY)


def refusal(status: int, text: str, *, kind: str = _VALIDATION, headers: Headers | None = None) -> Reply:
    """An error in TEI's form."""
    return json_reply(status, {"error": text, "error_type": kind}, headers=headers)
