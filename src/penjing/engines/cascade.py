"""A cascade: an engine of engines, each of which answers what it is sure of and hands the rest on.

Promise: the outputs of a sequence are those of one stage, the first whose sureness reaches its threshold, and of the
last where none does; only sequences that are undecided are packed anew for the next stage. No state is shared by calls.

Trade: a sequence that goes through every stage costs the sum of them; what a cascade gains is a matter of the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penjing.engines.base import Engine
from penjing.tokens import PackedBatch, pack_sequences

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stage:
    """One engine of a cascade.

    Attributes:
        engine: gives a row of outputs a sequence.
        temperature: its outputs are divided by it, so that the outputs of all stages mean the same.
        sureness_temperature: the temperature of :func:`sureness`.
        threshold: the sureness from which on it answers; None answers whatever comes.
        bias: what is added to each output before all else; none is nothing.
    """

    engine: Engine
    temperature: float = 1.0
    sureness_temperature: float = 1.0
    threshold: float | None = None
    bias: tuple[float, ...] = ()

    def run(self, batch: PackedBatch) -> Floats:
        """Its engine's outputs, the bias added, in the batch's own order."""
        outputs: Floats = self.engine.run(batch)
        return outputs + np.array(self.bias, np.float32) if self.bias else outputs

    def decides(self, outputs: Floats) -> npt.NDArray[np.bool_]:
        """Which rows of outputs it answers with."""
        if self.threshold is None:
            return np.ones(len(outputs), np.bool_)
        return sureness(outputs, self.sureness_temperature) >= self.threshold


def sureness(outputs: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Probability of the likeliest output of each row, float64 (rows,): max softmax(outputs / temperature)."""
    wide = outputs.astype(np.float64) / temperature
    likeliest: npt.NDArray[np.float64] = 1 / np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)
    return likeliest


class CascadeEngine:
    """See the module, and :class:`penjing.engines.base.Engine`.

    Args:
        stages: at least one, the cheapest first; the last has no threshold. Closed with the cascade.
    """

    name = "cascade"

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.instances = min(stage.engine.instances for stage in stages)

    def run(self, batch: PackedBatch) -> Floats:
        """See :meth:`Engine.run`."""
        return self.run_staged(batch)[0]

    def run_staged(self, batch: PackedBatch) -> tuple[Floats, Ints]:
        """Outputs as :meth:`run`, and which stage gave each row, counted from 0: int64 (sequences,).

        Args:
            batch: its head reads one row a sequence.
        """
        left, packed = np.arange(len(batch.lengths)), batch
        answers, given_by = np.zeros((0, 0), np.float32), np.zeros(len(left), np.int64)
        for number, stage in enumerate(self.stages):
            outputs = stage.run(packed)
            if number == 0:
                answers = np.zeros_like(outputs)
            else:
                outputs = packed.in_order(outputs)
            decided = stage.decides(outputs)
            answers[left[decided]] = outputs[decided] / np.float32(stage.temperature)
            given_by[left[decided]] = number
            left = left[~decided]
            if not len(left):
                break
            packed = pack_sequences([batch.sequence(at) for at in left.tolist()], reads=batch.reads)
        return answers, given_by

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        for stage in self.stages:
            stage.engine.close()


def parts_of(engine: Engine) -> tuple[Engine, ...]:
    """The engines that an engine is made of: of a plain one itself."""
    return tuple(stage.engine for stage in engine.stages) if isinstance(engine, CascadeEngine) else (engine,)
