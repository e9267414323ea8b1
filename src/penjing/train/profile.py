"""Where the time of a fine-tuning goes, and how near its arithmetic comes to what the processor can do.

Promise: a run that is not profiled pays a few calls of nothing a step; a profiled one ends with the same weights.
Floating-point operations are counted by torch on the first steps, whose time is left out, and taken to be as many a
token in all others. The bound they are compared with is the machine's own: a large matrix product in the
precision and with the threads of the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

_COUNTED_STEPS = 3
_SIDE, _FOR_S = 1024, 0.5  # of the matrices of the bound, and how long it is looked for


class Clock(Protocol):
    """What the loop tells of its parts."""

    def part(self, name: str) -> AbstractContextManager[Any]:
        """Time what is within; the outermost part counts."""

    def step(self, tokens: int) -> AbstractContextManager[Any]:
        """A step with so many real tokens is within."""


class _Untimed:
    def part(self, name: str) -> AbstractContextManager[Any]:
        del name
        return nullcontext()

    def step(self, tokens: int) -> AbstractContextManager[Any]:
        del tokens
        return nullcontext()


UNTIMED: Clock = _Untimed()


@dataclass(frozen=True, slots=True)
class PartTime:
    """A part of a run.

    Attributes:
        name: of the part.
        seconds: in all.
        share: of the whole run.
    """

    name: str
    seconds: float
    share: float


class Profile:
    """The times of one run so far.

    Attributes:
        seconds: part → seconds, in the order they first came.
        steps: that were timed.
        tokens: real ones in them.
        counted: (floating-point operations, tokens) of the steps on which they were counted.
        bound: operations a second of a large matrix product here; 0 before it was measured.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.steps, self.tokens, self.bound = 0, 0, 0.0
        self.counted = (0, 0)
        self._inside, self._begun, self._step_s = False, time.monotonic(), 0.0
        self._counted_steps = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """See :class:`Clock`."""
        if self._inside:
            yield
            return
        self._inside, begun = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    @contextmanager
    def step(self, tokens: int) -> Iterator[None]:
        """See :class:`Clock`."""
        if self._counted_steps < _COUNTED_STEPS:
            self._counted_steps += 1
            with self.part("count operations"), _counting() as counter:
                yield
            self.counted = (self.counted[0] + counter.get_total_flops(), self.counted[1] + tokens)
            return
        begun = time.perf_counter()
        yield
        self._step_s += time.perf_counter() - begun
        self.steps, self.tokens = self.steps + 1, self.tokens + tokens

    def measure_bound(self, precision: str) -> None:
        """Find the machine's rate of matrix products, with torch's present threads."""
        with self.part("measure the bound"):
            self.bound = matrix_rate(precision)

    def parts(self) -> list[PartTime]:
        """All parts and what is left of the run, the longest first."""
        whole = time.monotonic() - self._begun
        rest = max(0.0, whole - sum(self.seconds.values()))
        named = [*self.seconds.items(), ("all else", rest)]
        return sorted((PartTime(n, s, s / max(whole, 1e-9)) for n, s in named), key=lambda part: -part.seconds)

    @property
    def tokens_per_s(self) -> float:
        """Real tokens a second of training steps."""
        return self.tokens / self._step_s if self._step_s else 0.0

    @property
    def operations_per_s(self) -> float:
        """Floating-point operations a second of training steps."""
        operations, tokens = self.counted
        return operations / tokens * self.tokens_per_s if tokens else 0.0

    @property
    def utilisation(self) -> float:
        """Operations a second as a share of the bound (MFU)."""
        return self.operations_per_s / self.bound if self.bound else 0.0


def matrix_rate(precision: str) -> float:
    """Floating-point operations a second of a square matrix product, the best of some."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + _FOR_S
    while time.perf_counter() < until or best == float("inf"):
        begun = time.perf_counter()
        one @ other
        best = min(best, time.perf_counter() - begun)
    return 2 * _SIDE**3 / best


@contextmanager
def _counting() -> Iterator[Any]:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        yield counter
