"""The place of a process among those that ``torchrun`` started, as the environment says it. Needs no torch."""

from __future__ import annotations

import os

from penjing.core.errors import UsageError


def place_among() -> tuple[int, int]:
    """The number of the process from 0, and how many there are; 0 and 1 where nothing is said.

    Raises:
        UsageError: what is said cannot be.
    """
    given = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not all(number.isdecimal() for number in given) or not int(given[0]) < int(given[1]):
        raise UsageError(
            f"RANK is {given[0]!r} and WORLD_SIZE {given[1]!r}",
            expected="what torchrun sets: numbers, the first below the second",
            do="Start by torchrun, or unset both.",
        )
    return int(given[0]), int(given[1])


def is_helper() -> bool:
    """Whether another process writes what this one helps to train."""
    return place_among()[0] > 0


def on_this_machine() -> int:
    """How many of the processes share this machine's cores."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) if place_among()[1] > 1 else 1
