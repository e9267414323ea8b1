"""Which sequences go into which step: a pure function of the seed, so that a resumed run is the same run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class StepPlan:
    """Shuffled batches over epochs.

    Every epoch is a fresh permutation of all rows; its last batch may be smaller.

    Args:
        rows: sequences in the training split.
        batch_size: sequences a step.
        epochs: passes, may be fractional.
        seed: of the shuffles.
    """

    def __init__(self, rows: int, batch_size: int, *, epochs: float, seed: int) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self.steps_per_epoch = -(-rows // batch_size)
        self.steps = max(1, round(epochs * self.steps_per_epoch))
        self._cached: tuple[int, npt.NDArray[np.int64]] | None = None

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """Row indices of a step, 0-based."""
        epoch, at = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)
        return order[at * self._batch_size : (at + 1) * self._batch_size]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._cached is None or self._cached[0] != epoch:
            self._cached = epoch, np.random.default_rng([self._seed, epoch]).permutation(self._rows)
        return self._cached[1]
