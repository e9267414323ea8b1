"""Several processes that train one model: each takes a share of every step, and all end with the same weights.

Started by ``torchrun`` or Ray Train, each process finds its place in the environment. Promise: the gradient of a
step is that of one process with the whole step, to rounding, since each share is divided by the real targets of the
whole step and the shares are summed. Only the first process writes.

Trade: every process reads all of the data, and computes what frozen layers give for all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed

from penjing.core.errors import ResourceError
from penjing.train.place import place_among

_SEED_STRIDE = 7_368_787  # between the dropout of one process and the next


@dataclass(frozen=True, slots=True)
class Ranks:
    """The place of a process among those that train.

    Attributes:
        rank: from 0, which is the one that writes.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """A seed of this process's own, that of a process alone for the first."""
        return seed + _SEED_STRIDE * self.rank

    def mine(self, rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The process's share of a step's rows: about as many tokens as each other's; maybe none."""
        if self.count == 1:
            return rows
        middles = np.cumsum(lengths) - lengths / 2
        owner = np.minimum((middles * self.count / max(1, lengths.sum())).astype(np.int64), self.count - 1)
        mine: npt.NDArray[np.int64] = rows[owner == self.rank]
        return mine

    def sum_gradients(self, weights: Sequence[Tensor]) -> None:
        """Make every gradient the sum over all processes; a missing one counts as zeros."""
        if self.count == 1:
            return
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        flat = torch.cat([weight.grad.reshape(-1) for weight in weights if weight.grad is not None])
        distributed.all_reduce(flat)
        at = 0
        for weight in weights:
            if weight.grad is not None:
                weight.grad.copy_(flat[at : at + weight.numel()].view_as(weight))
                at += weight.numel()

    def most(self, value: int) -> int:
        """The largest of a number over all processes."""
        given = torch.tensor(value)
        distributed.all_reduce(given, distributed.ReduceOp.MAX)
        return int(given)

    def first_says(self, value: bool) -> bool:
        """What the first process says."""
        given = torch.tensor(value)
        distributed.broadcast(given, 0)
        return bool(given)

    def sum(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.count == 1:
            return value
        given = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(given)
        return float(given)


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other processes for the length of a block.

    Raises:
        ResourceError: they cannot be reached.
    """
    place = Ranks(*place_among())
    if place.count == 1:
        yield ALONE
        return
    if distributed.is_initialized():  # by who started the process: Ray Train
        yield place
        return
    try:
        distributed.init_process_group("gloo")
    except (RuntimeError, ValueError) as error:
        raise ResourceError(
            f"process {place.rank} of {place.count} cannot reach the others: {error}",
            expected="processes started by torchrun",
            do="Start all of them by one torchrun command, or unset RANK and WORLD_SIZE.",
        ) from error
    try:
        yield place
    finally:
        distributed.destroy_process_group()
