"""The one error tree. Every error a user can meet is one of these.

::

    PenjingError
    ├── UsageError              the command or call itself is wrong (exit status 2)
    │   └── RecipeError         a recipe key or value; lists every fault at once
    ├── DataError               rows, columns, labels, encodings
    ├── CheckpointError         a checkpoint directory that must not or cannot be opened
    ├── StoreError              the store refuses or fails
    │   ├── NotFoundError       no such model, version or alias
    │   ├── ConflictError       someone else changed the same thing first
    │   └── CorruptBundleError  files differ from what the manifest signed for
    ├── DivergenceError         training left the finite numbers
    ├── ExportError             a model could not be written in another form
    │   └── ParityError         the other form answers differently
    ├── GateRefusal             a measurement did not meet its rule (exit status 1)
    ├── ResourceError           the machine lacks something: disk, port, package, memory
    ├── KeyFileError            a file of API keys that cannot be used, or holds no such key
    ├── AuditError              an audit log that is not as it was written
    └── ServingError            one request fails; each dialect maps these to its own status
        ├── InvalidRequestError the request can never succeed as sent
        │   ├── TooLargeError   its body is over the limit
        │   ├── MalformedError  its body cannot be read at all
        │   ├── ContextLengthError  more tokens than the model reads at once
        │   ├── EmptyError      there is nothing in it to answer
        │   ├── PreconditionError  it would be right for another model, or in another state of this one
        │   └── FieldError      one field of its body is absent or of the wrong form; names it
        ├── UnauthenticatedError  no credential came, or none that is good
        ├── ForbiddenError      the caller is known, and may not do this
        ├── UnsupportedError    the server, or this model, does not do what is asked
        ├── ModelNotFoundError  unknown model, version or label
        ├── NotReadyError       known, but not (or no longer) able to answer
        ├── OverloadedError     refused at the door; says when to come back
        │   └── QuotaError      the caller has asked for as much as was given to it
        ├── DeadlineError       the caller's deadline passed first
        └── DepartedError       the caller left before its answer was ready

Promise: each class has a stable ``code``; each instance says what came, what was expected
and what to do. Transport status codes live in the dialects, never here.
"""

from __future__ import annotations

from typing import Any, ClassVar


class PenjingError(Exception):
    """An error with its three parts kept apart.

    Args:
        came: what was met, as a clause that names the offending thing.
        expected: what would have been right.
        do: the next step for the reader.
    """

    code: ClassVar[str] = "penjing"
    exit_status: ClassVar[int] = 1

    def __init__(self, came: str, *, expected: str = "", do: str = "") -> None:
        self.came, self.expected, self.do = came, expected, do
        parts = [came.rstrip(".")]
        if expected:
            parts.append(f"expected {expected.rstrip('.')}")
        said = "; ".join(parts)
        end, blank = "" if said.endswith("?") else ".", "\n" if "\n" in came else " "
        super().__init__(f"{said}{end}{blank}{do}".strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as it stands: to be made anew from its message it would need its parts too."""
        return _blank, (type(self), self.args), self.__dict__

    def as_dict(self) -> dict[str, str]:
        """The error as plain data, for ``--json`` and logs."""
        return {"code": self.code, "came": self.came, "expected": self.expected, "do": self.do}


def _blank(kind: type[PenjingError], args: tuple[Any, ...]) -> PenjingError:
    return kind.__new__(kind, *args)


class UsageError(PenjingError):
    """The command line or call is wrong."""

    code = "usage"
    exit_status = 2


class RecipeError(UsageError):
    """A recipe does not parse or does not fit its schema."""

    code = "recipe"


class DataError(PenjingError):
    """A data file or its content cannot be used."""

    code = "data"


class CheckpointError(PenjingError):
    """A checkpoint directory is incomplete, unsafe or of an unknown kind."""

    code = "checkpoint"


class StoreError(PenjingError):
    """The store refuses or fails."""

    code = "store"


class NotFoundError(StoreError):
    """No such model, version or alias."""

    code = "store-not-found"


class ConflictError(StoreError):
    """The thing exists already or changed meanwhile."""

    code = "store-conflict"


class CorruptBundleError(StoreError):
    """A bundle's files are not the files its manifest names."""

    code = "store-corrupt"


class DivergenceError(PenjingError):
    """The loss or its gradient is no longer a number."""

    code = "divergence"


class ExportError(PenjingError):
    """A model could not be written in another form."""

    code = "export"


class ParityError(ExportError):
    """Two forms of one model disagree by more than rounding."""

    code = "parity"


class GateRefusal(PenjingError):
    """A gate said no."""

    code = "gate"


class ResourceError(PenjingError):
    """The machine lacks something that the work needs."""

    code = "resource"


class KeyFileError(PenjingError):
    """A file of API keys cannot be used, or holds no such key."""

    code = "key-file"


class AuditError(PenjingError):
    """An audit log is not as it was written."""

    code = "audit"


class ServingError(PenjingError):
    """One request cannot be answered."""

    code = "serving"


class InvalidRequestError(ServingError):
    """The request is malformed or asks for what the model does not do."""

    code = "invalid-request"


class ContextLengthError(InvalidRequestError):
    """Prompt and answer together are longer than the model reads."""

    code = "context-length"


class TooLargeError(InvalidRequestError):
    """The body of the request is over the limit."""

    code = "too-large"


class MalformedError(InvalidRequestError):
    """The body of the request is not what its protocol can read: no JSON, or none that ends."""

    code = "malformed"


class EmptyError(InvalidRequestError):
    """The request holds nothing to answer."""

    code = "empty"


class PreconditionError(InvalidRequestError):
    """The request is well formed, but the model or the server is not such, or not now, that it could be met."""

    code = "precondition"


class FieldError(InvalidRequestError):
    """A field of the request is absent, of the wrong form, or of a value that does not fit.

    Args:
        field: its name, with dots where it is nested.
    """

    code = "field"

    def __init__(self, came: str, *, field: str, expected: str = "", do: str = "") -> None:
        super().__init__(came, expected=expected, do=do)
        self.field = field


class UnauthenticatedError(ServingError):
    """The request brought no credential, or none that is good here."""

    code = "unauthenticated"


class ForbiddenError(ServingError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class UnsupportedError(ServingError):
    """The server, or the model that was asked, does not do what the request wants."""

    code = "unsupported"


class ModelNotFoundError(ServingError):
    """The request names an unknown model, version or label."""

    code = "model-not-found"


class NotReadyError(ServingError):
    """The model is known but cannot answer now."""

    code = "not-ready"


class OverloadedError(ServingError):
    """The queue is full.

    Args:
        retry_after_s: seconds after which a retry has a fair chance.
    """

    code = "overloaded"

    def __init__(self, came: str, *, retry_after_s: float, expected: str = "", do: str = "") -> None:
        super().__init__(came, expected=expected, do=do)
        self.retry_after_s = retry_after_s


class QuotaError(OverloadedError):
    """The caller has asked for as much as was given to it; others are not concerned."""

    code = "quota"


class DeadlineError(ServingError):
    """The deadline passed before an answer was ready.

    Args:
        waiting: True if no engine had taken up the request yet.
    """

    code = "deadline"

    def __init__(self, came: str, *, waiting: bool = False, expected: str = "", do: str = "") -> None:
        super().__init__(came, expected=expected, do=do)
        self.waiting = waiting


class DepartedError(ServingError):
    """The caller left before its answer was ready; nobody reads the reply."""

    code = "departed"
