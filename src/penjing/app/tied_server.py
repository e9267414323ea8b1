"""``python -m penjing.app.tied_server``: as ``python -m penjing.serve``, but it ends with its parent.

A parent that is killed stops nothing; without the tie its server would hold memory and a port for ever.
Trade: on systems other than Linux there is no tie.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from penjing.serve.__main__ import main

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def tie_to_parent() -> None:
    """Have the kernel send this process SIGTERM when the thread that started it ends."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:  # it ended in between
        sys.exit(1)


if __name__ == "__main__":
    tie_to_parent()
    sys.exit(main())
