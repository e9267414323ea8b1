"""One client's checks, in a process of its own: Triton's and KServe's clients define the same messages twice.

Reads a target as JSON from standard input and writes the outcomes as JSON to standard output.
"""

from __future__ import annotations

import json
import os
import sys

from penjing.app.conformance.checks import Check, Target
from penjing.app.conformance.clients import CLIENTS

_SHOWN = 300  # characters of a failure


def main() -> None:
    """Run the checks of the client named."""
    client = next(client for client in CLIENTS if client.name == sys.argv[1])
    target = Target(**json.load(sys.stdin))
    report, sys.stdout = sys.stdout, sys.stderr  # a client that prints does not print into the report
    outcomes = [(check[0], *_came_out(check)) for check in client.checks(target)]
    report.write(json.dumps(outcomes))
    report.flush()
    os._exit(0)  # whatever threads a client left


def _came_out(check: Check) -> tuple[str, str]:
    """State and reason."""
    try:
        check[1]()
    except Exception as error:  # noqa: BLE001  (whatever a client raises is a finding)
        said = " ".join(str(error).split()) or "no reason was given"
        return "failed", f"{type(error).__name__}: {said[:_SHOWN]}"
    return "passed", ""


if __name__ == "__main__":
    main()
