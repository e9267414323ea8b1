"""``penjing prune --speedup`` and ``--max-mb``: heads and neurons chosen so that the engine's file keeps a target.

Each layer's attention and feed-forward gets a level, by importance on training texts and by what levels cost here
(:mod:`penjing.compress.latency`, or bytes); then the truth is measured, the model beside the whole one in turns. Where
it falls short the limit is drawn tighter and the choice made anew, a few times; then the target is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from penjing.app.engine_files import EngineFile, Engines
from penjing.app.smaller_recipes import TargetRecipe
from penjing.compress.choosing import choose_levels
from penjing.compress.latency import Chain, LatencyTable, Shape, chains, kept_table, table_of
from penjing.core.errors import GateRefusal
from penjing.core.machine import describe_machine
from penjing.core.progress import Progress
from penjing.data.packages import cache_dir
from penjing.models.families import encoder_parts
from penjing.models.packed import PackedEncoder
from penjing.models.surgery import empty_heads, empty_neurons, fresh_like
from penjing.train.importance import part_importance
from penjing.train.training_set import Objective, TrainingSet

Floats = npt.NDArray[np.float64]
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Levels:
    """What may stay of each layer, and how much the loss hangs on it.

    Attributes:
        heads: importance (layers, heads).
        neurons: of each layer.
        block: neurons that go together.
    """

    heads: Floats
    neurons: list[Floats]
    block: int

    def counts(self, layer: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Numbers of heads, and of neurons, that may stay of a layer."""
        whole = len(self.neurons[layer])
        return np.arange(self.heads.shape[1] + 1), np.append(np.arange(0, whole, self.block), whole)

    def losses(self) -> list[Floats]:
        """Of each layer's attention and feed-forward in turn: what goes at each level."""
        found = []
        for layer, (heads, neurons) in enumerate(zip(self.heads, self.neurons, strict=True)):
            for importance, counts in zip((heads, neurons), self.counts(layer), strict=True):
                stays = np.concatenate([[0.0], np.cumsum(np.sort(importance)[::-1])])
                found.append(stays[-1] - stays[counts])
        return found

    def kept(self, chosen: list[int]) -> tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.int64]]]:
        """Which heads, and which neurons, of each layer stay at the chosen levels."""
        both: tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.int64]]] = ([], [])
        for at, level in enumerate(chosen):
            layer, kind = divmod(at, 2)
            importance = (self.heads, self.neurons)[kind][layer]
            count = int(self.counts(layer)[kind][level])
            both[kind].append(np.sort(np.argsort(-importance, kind="stable")[:count]))
        return both


class Target(Protocol):
    """What is to be kept."""

    def costs(self, levels: Levels) -> list[Floats]:
        """Of each layer's attention and feed-forward in turn: what each level costs."""

    rest: float
    limit: float
    wanted: str

    def truth(self, file: EngineFile) -> float:
        """What a file really costs, in the unit of the limit."""

    def told(self, cost: float) -> str:
        """A cost in words."""


class Faster:
    """So many times as fast as the whole model."""

    def __init__(self, speedup: float, table: LatencyTable, *, exporter: Engines, whole: EngineFile) -> None:
        self._table, self._exporter, self._whole_file = table, exporter, whole
        self._speedup = speedup
        self.wanted = f"{speedup:g} times as fast"
        self.rest = self._whole = self.limit = 0.0

    def costs(self, levels: Levels) -> list[Floats]:
        """See :class:`Target`."""
        found, layers = [], len(levels.neurons)
        for layer in range(layers):
            heads, neurons = levels.counts(layer)
            last = layer == layers - 1
            found += [self._table.of_heads(heads, last=last), self._table.of_neurons(neurons, last=last)]
        self.rest = self._table.rest_ms(layers)
        self._whole = self.rest + sum(float(one[-1]) for one in found)
        self.limit = self._whole / self._speedup
        return found

    def truth(self, file: EngineFile) -> float:
        """See :class:`Target`: the table's milliseconds of the whole, by the ratio of the two as it was measured."""
        before, after = self._exporter.times_ms([self._whole_file, file])
        return self._whole * after / before

    def told(self, cost: float) -> str:
        """See :class:`Target`."""
        return f"{self._whole / cost:.2f} times as fast"


class Smaller:
    """No more bytes to serve."""

    def __init__(self, target: TargetRecipe, encoder: PackedEncoder, *, whole: EngineFile) -> None:
        out: Any = encoder.parts.layers[0].attention_out
        number, hidden = 4 if target.precision == "fp32" else 1, out.out_features
        self._head = out.in_features // encoder.parts.heads * (4 * hidden + 3) * number
        self._neuron = (2 * hidden + 1) * number
        self._whole, self.limit, self.rest = whole.bytes, (target.max_mb or 0.0) * 1e6, 0.0
        self.wanted = f"at most {target.max_mb:g} MB"

    def costs(self, levels: Levels) -> list[Floats]:
        """See :class:`Target`."""
        counts = [levels.counts(layer) for layer in range(len(levels.neurons))]
        found: list[Floats] = [
            some.astype(np.float64) * each
            for both in counts
            for some, each in zip(both, (self._head, self._neuron), strict=True)
        ]
        self.rest = self._whole - sum(float(one[-1]) for one in found)
        return found

    def truth(self, file: EngineFile) -> float:
        """See :class:`Target`."""
        return float(file.bytes)

    def told(self, cost: float) -> str:
        """See :class:`Target`."""
        return f"{cost / 1e6:.2f} MB"


def reach(
    target: TargetRecipe,
    model: Any,
    *,
    some: TrainingSet,
    objective: Objective,
    exporter: Engines,
    progress: Progress,
) -> list[str]:
    """Empty heads and neurons of ``model``, in place, until its engine file keeps the target.

    Args:
        target: what is wanted.
        model: of which heads and neurons go.
        some: training texts that importance is taken on.
        objective: the loss.
        exporter: makes engine files and times them.
        progress: where to show it.

    Returns:
        what was dropped, what was predicted and what is true, a sentence each.

    Raises:
        GateRefusal: the target cannot be kept; the message says the best that was found.
        ExportError, ParityError, ResourceError: an engine file could not be made.
    """
    encoder = PackedEncoder(model)
    levels = Levels(*part_importance(encoder, some, objective), target.block)
    whole = exporter.file_of(model)
    if target.speedup is not None:
        goal: Target = Faster(target.speedup, _table(model, exporter, progress), exporter=exporter, whole=whole)
    else:
        goal = Smaller(target, encoder, whole=whole)
    return _try(model, levels, goal, exporter=exporter, progress=progress)


def _try(model: Any, levels: Levels, goal: Target, *, exporter: Engines, progress: Progress) -> list[str]:
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    costs, losses = goal.costs(levels), levels.losses()
    limit, best = goal.limit, float("inf")
    for _ in range(_TRIES):
        chosen = choose_levels(costs, losses, limit=limit - goal.rest)
        if chosen is None:
            break
        model.load_state_dict(start)
        heads, neurons = levels.kept(chosen)
        empty_heads(model, heads)
        empty_neurons(model, neurons)
        predicted = goal.rest + sum(float(cost[level]) for cost, level in zip(costs, chosen, strict=True))
        truth = goal.truth(exporter.file_of(model))
        progress.say(f"  predicted: {goal.told(predicted)}; measured: {goal.told(truth)}")
        best = min(best, truth)
        if truth <= goal.limit:
            return _told(levels, heads, neurons, f"predicted {goal.told(predicted)}, measured {goal.told(truth)}")
        limit -= truth - goal.limit
    found = goal.told(best) if np.isfinite(best) else f"without any head or neuron it would be {goal.told(goal.rest)}"
    raise GateRefusal(
        f"heads and neurons alone do not get there: the best found is {found}",
        expected=goal.wanted,
        do="Ask for less, drop tokens or layers, or distil into a smaller model.",
    )


def _told(levels: Levels, heads: list[Any], neurons: list[Any], outcome: str) -> list[str]:
    of_heads, of_neurons = (", ".join(str(len(one)) for one in some) for some in (heads, neurons))
    whole = sum(float(one.sum()) for one in (*levels.heads, *levels.neurons))
    both = [*zip(levels.heads, heads, strict=True), *zip(levels.neurons, neurons, strict=True)]
    share = sum(float(importance[some].sum()) for importance, some in both) / max(whole, 1e-30)
    return [
        f"heads kept by layer: {of_heads}, of {levels.heads.shape[1]}",
        f"neurons kept by layer: {of_neurons}, of {len(levels.neurons[0])}; {share:.1%} of the importance of all stays",
        outcome,
    ]


def _table(model: Any, exporter: Engines, progress: Progress) -> LatencyTable:
    parts, out = encoder_parts(model), encoder_parts(model).layers[0]
    lengths = [len(text) for text in exporter.texts]
    down: Any = out.down
    shape = Shape(
        family=model.config.model_type,
        hidden=down.out_features,
        heads=parts.heads,
        neurons=down.in_features,
        reads=exporter.reads,
        engine=exporter.engine,
        precision=exporter.precision,
        tokens=-(-round(float(np.mean(lengths))) // 8) * 8,
        machine=describe_machine(),
    )

    def measured() -> LatencyTable:
        wanted = chains(shape)
        with progress.stage("Measuring what heads and neurons cost here", total=len(wanted)) as stage:
            files = []
            for chain in wanted:
                files.append(exporter.file_of(_chain_model(model, chain)))
                stage.advance(1)
        return table_of(shape, dict(zip(wanted, exporter.times_ms(files), strict=True)))

    return kept_table(cache_dir() / "latency", shape, measured)


def _chain_model(model: Any, chain: Chain) -> Any:
    made = fresh_like(model, chain.layers)
    before = chain.layers - 1
    empty_heads(made, [np.arange(chain.heads)] * before + [np.arange(chain.last_heads)])
    empty_neurons(made, [np.arange(chain.neurons)] * before + [np.arange(chain.last_neurons)])
    return made
