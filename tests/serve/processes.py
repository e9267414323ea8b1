"""What the system says of a process."""

from __future__ import annotations


def is_running(pid):
    """Whether it lives; one that ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
