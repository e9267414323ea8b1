"""Work that must have a process of its own, because the libraries it calls change global state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from penjing.core.errors import ExportError

TIMEOUT_S = 1800.0
_LAST_LINES = 5


def run_worker(module: str, arguments: list[str]) -> None:
    """Run ``python -m module arguments…`` and wait.

    Raises:
        ExportError: it failed, or took longer than ``TIMEOUT_S``; its last words are in the message.
    """
    # -P keeps files in the user's directory from standing in for the libraries of the same name.
    _run(module, [sys.executable, "-P", "-W", "ignore", "-m", module, *arguments])


def run_file(python: Path, file: Path, arguments: list[str]) -> None:
    """Run a file by another Python, which need not know Penjing, and wait.

    Raises:
        ExportError: as :func:`run_worker`.
    """
    _run(file.stem, [str(python), "-P", "-W", "ignore", str(file), *arguments])


def _run(module: str, command: list[str]) -> None:
    # CI=true keeps openvino-telemetry, which quantisers load, from asking or sending anything.
    environment = {**os.environ, "CI": "true"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{module} did not end in {TIMEOUT_S:.0f} s", do="Try again on a quieter machine.") from error
    if done.returncode != 0:
        raise _failure(module, done)


def _failure(module: str, done: subprocess.CompletedProcess[bytes]) -> ExportError:
    said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
    last = "\n".join(said.splitlines()[-_LAST_LINES:]) or "it said nothing"
    if done.returncode >= 0:
        return ExportError(f"{module} failed with status {done.returncode}: {last}")
    killer = signal.Signals(-done.returncode).name
    short = killer == "SIGKILL"
    return ExportError(
        f"{module} was ended by {killer}: {last}",
        do="The system does so when memory runs out: free some, or use a smaller model." if short else "",
    )
