"""``python -m penjing.fleet.tied``: as ``python -m penjing.serve``, but it ends with the gateway that started it.

The end of standard input tells it to drain and end. A gateway that is killed tells nothing and needs no drain, since
every connection came from it: there the kernel kills, a replica that hangs included.
Trade: on systems other than Linux a replica that hangs outlives a gateway that is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

from penjing.serve.__main__ import main

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def _tie() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            sys.exit(1)
    threading.Thread(target=_listen, daemon=True).start()


def _listen() -> None:
    while os.read(sys.stdin.fileno(), 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _tie()
    sys.exit(main())
