"""What is known of a request once its reply is ready, and may be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finished:
    """A request whose reply is ready.

    Attributes:
        transport: how it came.
        what: method and path, or the call's name. No query.
        status: HTTP's, or gRPC's name.
        is_fault: the server's, not the caller's.
        began: on the clock of ``time.monotonic``.
        cost: what the answer took, by the names of the reply's headers without their prefix; empty for a refusal.
        traceparent: the caller's; empty if none came.
    """

    transport: Literal["http", "grpc"]
    what: str
    status: str
    is_fault: bool
    began: float
    cost: Mapping[str, float]
    traceparent: str = ""
