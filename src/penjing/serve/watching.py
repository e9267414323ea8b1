"""What is written down of each request: a line of the access log, spans of a trace, or nothing.

Promises: never a payload, a query or a header of the caller; a request is not held up by whoever reads this. A caller's
W3C ``traceparent`` is the parent of the trace's spans, and the reply carries the request's own.

Source: W3C Trace Context, https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.core.errors import ResourceError
from penjing.serve.answers import Cost
from penjing.serve.finished import Finished
from penjing.serve.recipe import ServeRecipe

if TYPE_CHECKING:
    from penjing.serve.tracing import Tracer

_LOG = logging.getLogger(__name__)
TRACEPARENT = b"traceparent"
_PREFIX = "x-penjing-"


class Watching:
    """See the module.

    Args:
        recipe: its ``access_log`` and ``otlp_endpoint``.

    Raises:
        ResourceError: the log cannot be written, or the extra ``telemetry`` is not installed.
    """

    def __init__(self, recipe: ServeRecipe) -> None:
        self._log = recipe.access_log
        if self._log is not None:
            _write(self._log, "")  # says now what would fail later
        self._tracer: Tracer | None = None
        if recipe.otlp_endpoint:
            from penjing.serve.tracing import open_tracer

            self._tracer = open_tracer(recipe.otlp_endpoint)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be written down."""
        return self._log is None and self._tracer is None

    def finished(self, request: Finished) -> str:
        """Write a request down; the ``traceparent`` for its reply, empty where there is no trace."""
        took_s = time.monotonic() - request.began
        traceparent = self._tracer.trace(request, took_s=took_s) if self._tracer else ""
        if self._log is not None:
            try:
                _write(self._log, _line(request, took_s, traceparent) + "\n")
            except ResourceError as error:  # a full disk is no reason to answer nobody
                _LOG.error("%s", error)
        return traceparent

    def close(self) -> None:
        """Send what is still held back."""
        if self._tracer:
            self._tracer.close()


def cost_of(headers: list[tuple[bytes, bytes]]) -> dict[str, float]:
    """The cost that a reply's headers carry."""
    named = ((name.decode(), value) for name, value in headers)
    return {name.removeprefix(_PREFIX): float(value) for name, value in named if name.startswith(_PREFIX)}


def cost_by_name(cost: Cost | None) -> dict[str, float]:
    """The same of a cost; empty of none."""
    return cost_of(cost.headers()) if cost else {}


def _line(request: Finished, took_s: float, traceparent: str) -> str:
    values = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "transport": request.transport,
        "what": request.what,
        "status": request.status,
        "ms": round(took_s * 1000, 3),
        **{name.replace("-", "_"): value for name, value in request.cost.items()},
    }
    if traceparent:
        values["trace"] = traceparent.split("-")[1]
    return json.dumps(values, ensure_ascii=False)


def _write(file: Path, line: str) -> None:
    """Append to a file that others may move away at any time, or to standard error."""
    if str(file) == "-":
        sys.stderr.write(line)
        return
    try:
        with file.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(line)
    except OSError as error:
        raise ResourceError(
            f"access log {file} cannot be written: {error.strerror}", expected="a file, or -"
        ) from error
