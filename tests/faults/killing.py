"""A command killed at each of some moments, one after another, and at last left in peace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PEACE = "none"
_SCRIPT = """
import importlib, os, signal, sys
from pathlib import Path
for name in {modules!r}:
    importlib.import_module(name)
from penjing.app.cli import main
from penjing.store import Store

store, moments = Path(sys.argv[1]), sys.argv[2].split(",")
sys.argv = ["penjing", *sys.argv[3:]]
{at}
for moment in moments:
    process = os.fork()
    if process == 0:
        def hook(event, arguments):
            if at(moment, event, arguments):
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        try:
            main()
        except SystemExit as end:
            os._exit(end.code or 0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(f"{{moment}}|{{status}}|{{Store(store).models()}}", flush=True)
"""


def killed(
    store: Path, moments: Sequence[str], command: Sequence[str], *, modules: Sequence[str], at: str, timeout: float
) -> tuple[list[list[str]], str]:
    """Run a command once for each moment, in a fork that kills itself there, then once in peace.

    Args:
        store: where the command works.
        moments: names of them.
        command: what follows ``penjing``.
        modules: imported once, before the forks.
        at: source of ``at(moment, event, arguments)``, whether an audit event is the moment.
        timeout: seconds for all.

    Returns:
        a row a run: moment, exit status, the models then in the store; and what went to standard error.
    """
    script = _SCRIPT.format(modules=tuple(modules), at=at)
    told = [sys.executable, "-c", script, str(store), ",".join([*moments, PEACE]), *command]
    ran = subprocess.run(told, capture_output=True, text=True, timeout=timeout)
    return [line.split("|") for line in ran.stdout.splitlines() if line.count("|") == 2], ran.stderr
