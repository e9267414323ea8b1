"""Traffic: recorded, or made up from a seed.

Promise: equal recipe, equal traffic, whichever policy is tried with it.
"""

from __future__ import annotations

import json
import math
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random

from penjing.core.errors import DataError
from penjing.fleet.policies import blocks_of
from penjing.fleet.policies.prefix import BLOCK_BYTES
from penjing.fleet.simulation.recipe import SimulateRecipe, TrafficRecipe

_QUIET_TIMES = 4  # the quiet between bursts, in bursts
_SHARED_BLOCKS, _OWN_BLOCKS = 12, 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request.

    Attributes:
        at_s: when it comes.
        tokens: its true work.
        key: for a consistent hash.
        prefix: of its prompt.
        slowness: by what its time differs from the mean of its length.
    """

    at_s: float
    tokens: float
    key: bytes = b""
    prefix: tuple[int, ...] = ()
    slowness: float = 1.0


def arrivals_of(recipe: SimulateRecipe) -> list[Arrival]:
    """All requests in order of time.

    Raises:
        DataError: the trace cannot be read.
    """
    if recipe.traffic.trace is not None:
        return read_trace(recipe.traffic.trace)
    random, told = Random(recipe.seed), recipe.traffic
    times = _times(told, recipe.per_s, random)
    weights = list(accumulate(1 / rank for rank in range(1, max(told.keys, told.prefixes) + 1)))
    made = []
    for number in range(recipe.requests):
        tokens = max(1.0, _length(told, random))
        key = f"key {_ranked(weights[: told.keys], random)}".encode()
        prefix = _prompt(_ranked(weights[: told.prefixes], random), number) if told.prefixes else ()
        slowness = random.lognormvariate(-(recipe.noise**2) / 2, recipe.noise) if recipe.noise else 1.0
        made.append(Arrival(next(times), tokens, key, prefix, slowness))
    return made


def read_trace(file: Path) -> list[Arrival]:
    """A recorded one.

    Raises:
        DataError: a line is not of the form, or the times go backwards.
    """
    found: list[Arrival] = []
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                found.append(_read(line, where=f"{file}:{number}"))
    except OSError as error:
        why = f"the trace {file} cannot be read: {error.strerror}"
        raise DataError(why, expected="a file of JSON lines") from error
    if not found:
        raise DataError(f"the trace {file} is empty", expected="a line for each request")
    if any(later.at_s < earlier.at_s for earlier, later in pairwise(found)):
        raise DataError(f"the times of {file} go backwards", expected="lines in order of at_s")
    return found


def _read(line: str, *, where: str) -> Arrival:
    wrong = f"{where} is {line[:80]!r}"
    expected = 'an object such as {"at_s": 0.25, "tokens": 40}'
    try:
        said = json.loads(line)
        at_s, tokens = float(said["at_s"]), float(said["tokens"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(wrong, expected=expected) from error
    if not (math.isfinite(at_s) and math.isfinite(tokens) and tokens > 0):
        raise DataError(wrong, expected="a time, and tokens above 0")
    return Arrival(at_s, tokens, str(said.get("key", "")).encode(), blocks_of(str(said.get("prompt", "")).encode()))


def _times(told: TrafficRecipe, per_s: float, random: Random) -> Iterator[float]:
    now = 0.0
    if told.arrivals != "bursts":
        while True:
            now += 1 / per_s if told.arrivals == "even" else random.expovariate(per_s)
            yield now
    quiet = per_s * (1 + _QUIET_TIMES) / (told.burst_times + _QUIET_TIMES)
    turn_s = told.burst_s * (1 + _QUIET_TIMES)
    while True:  # thinning: drawn at the highest rate, and kept as often as the rate of the moment has it
        now += random.expovariate(quiet * told.burst_times)
        if now % turn_s < told.burst_s or random.random() * told.burst_times < 1:
            yield now


def _length(told: TrafficRecipe, random: Random) -> float:
    if told.lengths == "exponential":
        return random.expovariate(1 / told.mean_tokens)
    if told.lengths == "lognormal":
        return random.lognormvariate(math.log(told.mean_tokens) - told.skew**2 / 2, told.skew)
    if told.lengths == "pareto":
        return random.paretovariate(told.skew) * told.mean_tokens * (told.skew - 1) / told.skew
    return told.mean_tokens


def _ranked(weights: list[float], random: Random) -> int:
    return bisect(weights, random.random() * weights[-1])


def _prompt(shared: int, own: int) -> tuple[int, ...]:
    begin = f"prefix {shared:08d} ".encode() * (BLOCK_BYTES * _SHARED_BLOCKS // 16)
    end = f"request {own:07d} ".encode() * (BLOCK_BYTES * _OWN_BLOCKS // 16)
    return blocks_of(begin + end)
