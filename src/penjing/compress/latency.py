"""What attention heads and feed-forward neurons cost on this machine: milliseconds a text, measured by the engine.

Chains of three layers of a model's shape are exported with more or less in them and timed in turns, on packed rows of
the data's own lengths. What lies between two measured numbers of heads is taken for a straight line. The last layer
has a table of its own: where a head reads one token of each text, its feed-forward costs next to nothing.

Promise: a table says which machine, engine, precision and lengths it is of, and is used for no other. The least of
several rounds counts, for whatever else runs can only add. Source of the idea: Kurtic et al., "ZipLM", arXiv
2302.04089, section 3.2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from penjing.core.files import digest, write_atomically
from penjing.core.machine import Machine
from penjing.core.nouns import Frozen
from penjing.engines import EngineName, open_engine
from penjing.engines.bulk import packed_batches
from penjing.tokens import Encoding, Reads

CHAIN = 3
_SHARES = (0.0, 0.25, 0.5, 1.0)


class Shape(Frozen):
    """What a table is of.

    Attributes:
        family: the checkpoint's ``model_type``.
        hidden: width of a layer.
        heads, neurons: of a layer.
        reads: what the model's head reads of each text.
        engine: what runs it.
        precision: of the engine's file.
        tokens: of a text on average, to the next multiple of 8.
        machine: on which it was measured.
    """

    family: str
    hidden: int
    heads: int
    neurons: int
    reads: Reads
    engine: EngineName
    precision: Literal["fp32", "int8"]
    tokens: int
    machine: Machine


class Costs(Frozen):
    """Milliseconds a text of one layer's parts, by how many heads or neurons are in it."""

    heads: dict[int, float]
    neurons: dict[int, float]


class LatencyTable(Frozen):
    """What was measured.

    Attributes:
        shape: of what.
        bare_ms: of a model of one layer of which nothing lives: embeddings, two norms, the head.
        norms_ms: of each more such layer.
        inner: of every layer but the last.
        last: of the last layer.
    """

    shape: Shape
    bare_ms: float
    norms_ms: float
    inner: Costs
    last: Costs

    def rest_ms(self, layers: int) -> float:
        """Of a model of so many layers, without what can go."""
        return self.bare_ms + (layers - 1) * self.norms_ms

    def of_heads(self, counts: npt.NDArray[np.int64], *, last: bool) -> npt.NDArray[np.float64]:
        """Of a layer's attention with each of ``counts`` heads."""
        return _between((self.last if last else self.inner).heads, counts)

    def of_neurons(self, counts: npt.NDArray[np.int64], *, last: bool) -> npt.NDArray[np.float64]:
        """Of a layer's feed-forward with each of ``counts`` neurons."""
        return _between((self.last if last else self.inner).neurons, counts)


@dataclass(frozen=True, slots=True)
class Chain:
    """A model to be timed.

    Attributes:
        layers: how many.
        heads, neurons: of every layer but the last.
        last_heads, last_neurons: of the last.
    """

    layers: int = CHAIN
    heads: int = 0
    neurons: int = 0
    last_heads: int = 0
    last_neurons: int = 0


def chains(shape: Shape) -> list[Chain]:
    """All that a table is made from: a shorter and a longer one of which nothing lives, then each part by itself."""
    heads, neurons = (sorted({max(1, round(share * whole)) for share in _SHARES[1:]})
                      for whole in (shape.heads, shape.neurons))  # fmt: skip
    inner = [Chain(heads=count) for count in heads] + [Chain(neurons=count) for count in neurons]
    last = [Chain(last_heads=shape.heads), Chain(last_neurons=shape.neurons)]
    return [Chain(layers=1), Chain(), *inner, *last]


def table_of(shape: Shape, ms: Mapping[Chain, float]) -> LatencyTable:
    """The table from the milliseconds a text of all :func:`chains`."""
    bare, empty = ms[Chain(layers=1)], ms[Chain()]
    extra = {chain: max(0.0, found - empty) for chain, found in ms.items()}
    each = {chain: found / (CHAIN - 1) for chain, found in extra.items()}
    inner = Costs(
        heads={0: 0.0} | {chain.heads: found for chain, found in each.items() if chain.heads},
        neurons={0: 0.0} | {chain.neurons: found for chain, found in each.items() if chain.neurons},
    )
    last = Costs(
        heads={0: 0.0, shape.heads: extra[Chain(last_heads=shape.heads)]},
        neurons={0: 0.0, shape.neurons: extra[Chain(last_neurons=shape.neurons)]},
    )
    norms = max(0.0, empty - bare) / (CHAIN - 1)
    return LatencyTable(shape=shape, bare_ms=bare, norms_ms=norms, inner=inner, last=last)


def kept_table(folder: Path, shape: Shape, make: Callable[[], LatencyTable]) -> LatencyTable:
    """The table of a shape: the one that lies in ``folder``, else a new one, which is put there."""
    file = folder / f"{shape.family}-{digest(shape.model_dump(mode='json'))[:16]}.json"
    try:
        found = LatencyTable.model_validate_json(file.read_bytes())
        if found.shape == shape:
            return found
    except (OSError, ValidationError):
        pass  # none yet, or one that was spoilt: measured anew
    made = make()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, made.model_dump_json(indent=1).encode() + b"\n")
    return made


def times_ms(
    files: Sequence[tuple[EngineName, Path]], texts: Sequence[Encoding], *, reads: Reads, rounds: int
) -> list[float]:
    """Milliseconds a text of each engine file, on one thread: the least of several rounds, in which they take turns."""
    batches = list(packed_batches(texts, reads=reads))
    engines = [open_engine(name, file, instances=1) for name, file in files]
    least = [float("inf")] * len(engines)
    try:
        for turn in range(rounds + 1):  # the first warms up
            for at, engine in enumerate(engines):
                started = time.perf_counter()
                for batch in batches:
                    engine.run(batch)
                if turn:
                    least[at] = min(least[at], (time.perf_counter() - started) * 1000 / len(texts))
    finally:
        for engine in engines:
            engine.close()
    return least


def _between(known: Mapping[int, float], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    at = sorted(known)
    return np.interp(counts, at, [known[count] for count in at])
