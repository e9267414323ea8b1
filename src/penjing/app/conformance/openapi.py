"""The server's own OpenAPI document, held against it by schemathesis: no made-up request makes it fail.

A reply that a server means is no failure: 501 (its protocol has the route, it does not), 503 (too much to do, or
stopping) and 504 (the request's own deadline passed).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penjing.app.conformance.checks import Check, Client, Target

_EXAMPLES, _SECONDS = 20, 600
_SETTINGS = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501, 503, 504]
"""


def _rest(target: Target) -> Iterator[Check]:
    def holds() -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings:
            settings.write(_SETTINGS)
            settings.flush()
            command = [
                str(Path(sys.executable).with_name("schemathesis")), "--config-file", settings.name,
                "run", f"{target.url}/openapi.json",
                "--checks", "not_a_server_error", "--max-examples", str(_EXAMPLES), "--no-color",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            failures = done.stdout.partition("FAILURES")[2] or done.stdout + done.stderr
            raise AssertionError(failures.strip("= \n"))

    yield f"no failure over {_EXAMPLES} made-up requests a route", holds


REST = Client("schemathesis", "schemathesis", ("schemathesis",), _rest)
