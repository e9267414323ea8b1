"""The rungs of ``penjing compress``: what is made, in what order, from what, and how long the rest may take.

Every rung is a version in a workshop beside the store, so that a run that was killed goes on where it was; one that
cannot be had (a cascade that cannot be proved) is left out, with the reason.

Trade: the time left is told by work in tokens times layers, and by what a unit of it has taken so far: a rough figure
that becomes better on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from penjing.app.cascade import cascade
from penjing.app.cascade_recipe import CascadeCommand
from penjing.app.chains import cheapest_chain
from penjing.app.distill import distill
from penjing.app.held_out import held_out_part, outputs_on
from penjing.app.holding import whole_checkpoint
from penjing.app.origin import prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.prune import prune
from penjing.app.quantize import quantize
from penjing.app.recipes import MeasureRecipe, QuantizeCommand
from penjing.app.smaller_recipes import CascadeRung, CompressCommand, DistillCommand, PruneCommand
from penjing.compress.recipe import QuantizeRecipe, RestoreRecipe
from penjing.core.errors import DataError, GateRefusal
from penjing.core.nouns import Problem, Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import find_checkpoint
from penjing.store import Bundle, Store, parse_reference
from penjing.train.recipe import DistillationRecipe, TrainingRecipe

_BRIEF = MeasureRecipe(rounds=1, requests=4, clients=1)  # the real measuring comes in the end, all in turns
_TRAINING = 3  # a training token costs a forward pass and two backward
_STATIC_LAYERS = 0.3  # what a token of a static student costs, in layers


@dataclass(frozen=True, slots=True)
class Rung:
    """A version to be made.

    Attributes:
        told: what it is.
        model, version: where it will lie in the workshop.
        work: what it costs, in tokens times layers.
        make: makes it.
        layers: that serving runs; 0 for a cascade.
        is_static: a student without layers.
    """

    told: str
    model: str
    version: int
    work: float
    make: Callable[[], object] = field(repr=False)
    layers: float = 0
    is_static: bool = False


@dataclass(slots=True)
class _Clock:
    """What the work took so far, and what is left of it."""

    left: float
    done: float = 0.0
    seconds: float = 0.0

    def told(self) -> str:
        if not self.done:
            return ""
        minutes = self.left * self.seconds / self.done / 60
        return f" (about {minutes:.0f} min left)" if minutes >= 1 else " (less than a minute left)"

    def passed(self, work: float, seconds: float) -> None:
        self.left, self.done, self.seconds = self.left - work, self.done + work, self.seconds + seconds


def climb(rungs: Sequence[Rung], workshop: Path, progress: Progress) -> tuple[dict[str, Bundle], list[str]]:
    """Make every rung that is not there yet; the rungs by what they are, and why others were left out.

    Raises:
        PenjingError: of a rung that cannot be made, other than by a gate's refusal.
    """
    home, made, without = Store(workshop), dict[str, Bundle](), list[str]()
    clock = _Clock(sum(one.work for one in rungs if not _is_there(one, home)))
    for number, one in enumerate(rungs, start=1):
        if not _is_there(one, home):
            progress.say(f"— {number} of {len(rungs)}: {one.told}{clock.told()}")
            started = time.monotonic()
            try:
                one.make()
            except GateRefusal as refused:
                without.append(f"{one.told}: left out, {refused}")
                progress.say(f"  {without[-1]}")
                continue
            finally:
                clock.passed(one.work, time.monotonic() - started)
        made[one.told] = home.bundle(one.model, one.version)
    return made, without


class Names:
    """Of the rungs in the workshop, where the model lies under its own name.

    Args:
        parent: the model.
    """

    def __init__(self, parent: Bundle) -> None:
        self._prefix = "step-" if parent.manifest.model.startswith("rung-") else "rung-"
        self.cut = self.of("tokens")
        self.whole = f"{self.cut}/1"

    def of(self, rung: str) -> str:
        """The name of a rung."""
        return self._prefix + rung


def _is_there(rung: Rung, home: Store) -> bool:
    return rung.model in home.models() and rung.version in home.versions(rung.model)


def rungs_of(
    command: CompressCommand, parent: Bundle, data: PreparedData, *, workshop: Path, progress: Progress
) -> list[Rung]:
    """The ladder for a version: fewer tokens, students, each in int8, and a cascade of them."""
    shape, names = _shape_of(parent), Names(parent)
    layers = shape.layers
    learnt, judged = data.train.tokens, data.test.tokens
    held = data.validation or command.held_out
    prune_it = PruneCommand(model=parent.reference, name=names.cut, vocabulary=True, measure=None, seed=command.seed)

    def do(step: Callable[..., object], told: object) -> Callable[[], object]:
        return partial(step, told, store=workshop, progress=progress)

    rungs = [Rung("fewer tokens", names.cut, 1, 2 * layers * judged, do(prune, prune_it), layers)]
    for student, many in _students(command, parent, shape, names):
        work = (_TRAINING * student.training.epochs * learnt + judged) * many
        told = "static student" if student.is_static else f"student of {many:g}"
        rungs.append(Rung(told, student.name, 1, work, do(distill, student), many, student.is_static))
    for one in list(rungs):
        make = partial(_int8, command, names, one, bool(held), workshop=workshop, progress=progress)
        rungs.append(Rung(f"{one.told}, int8", one.model, 2, 2 * one.layers * judged, make, one.layers))
    if command.cascade and _is_single(parent) and held:
        stages = [f"{one.model}/{one.version}" for one in rungs]
        make = partial(_cascade, command, names, stages, workshop=workshop, progress=progress)
        rungs.append(Rung("cascade", names.of("cascade"), 1, 3 * layers * judged, make))
    return rungs


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of the model.

    Attributes:
        layers: how many it has.
        width: of its hidden states; None where its config does not say.
    """

    layers: int
    width: int | None


def _shape_of(parent: Bundle) -> _Shape:
    config = find_checkpoint(str(whole_checkpoint(parent))).config
    layers, width = (config.get("num_hidden_layers") or config.get("n_layers")), config.get("hidden_size")
    return _Shape(int(layers or 1), width or config.get("dim"))


def _is_single(parent: Bundle) -> bool:
    manifest = parent.manifest
    return manifest.task is Task.TEXT_CLASSIFICATION and manifest.problem_type in (None, Problem.SINGLE_LABEL)


def _students(
    command: CompressCommand, parent: Bundle, shape: _Shape, names: Names
) -> list[tuple[DistillCommand, float]]:
    """Students and their layers. Their teacher is the version of fewer tokens, whose tokens are theirs."""
    if parent.manifest.problem_type not in (None, Problem.SINGLE_LABEL):
        return []  # nothing teaches several labels or numbers yet
    usual = sorted({max(1, shape.layers // part) for part in (2, 3, 6)} - {shape.layers}, reverse=True)
    made: list[tuple[DistillCommand, float]] = []
    for many in usual if command.layers is None else command.layers:
        told = _student(command, names, f"layers-{many}", command.training, command.distill)
        made.append((told.model_copy(update={"layers": many}), many))
    if command.static and _is_single(parent):
        terms = command.distill
        if terms.looks_inside:  # there is nothing inside
            terms = DistillationRecipe(alpha=terms.alpha, temperature=terms.temperature)
        told = _student(command, names, "static", command.static.training, terms)
        width = {"student": "static", "static_width": min(command.static.width, shape.width or command.static.width)}
        made.append((told.model_copy(update=width), _STATIC_LAYERS))
    return made


def _student(
    command: CompressCommand, names: Names, rung: str, training: TrainingRecipe, terms: DistillationRecipe
) -> DistillCommand:
    return DistillCommand(
        name=names.of(rung),
        teachers=(names.whole,),
        unlabelled=command.unlabelled,
        distill=terms,
        training=training,
        measure=None,
        seed=command.seed,
    )


def _int8(
    command: CompressCommand, names: Names, of: Rung, is_judged: bool, *, workshop: Path, progress: Progress
) -> None:
    """A rung in int8; where that breaks the contract on held-out data, its worst layers in fp32, if that keeps it."""
    # For a static student OpenVINO's static int8 is as small, agrees less and is no faster (docs/decisions/0023).
    recipe = QuantizeRecipe(max_drop=None, engine="onnxruntime" if of.is_static else "auto")
    told = QuantizeCommand(model=f"{of.model}/1", quantize=recipe, measure=_BRIEF, seed=command.seed)
    if command.restore and is_judged and not of.is_static:
        restore = RestoreRecipe(max_drop=command.max_drop, held_out=command.held_out, against=names.whole)
        careful = told.model_copy(update={"quantize": recipe.model_copy(update={"restore": restore})})
        try:
            quantize(careful, store=workshop, progress=progress)
        except (GateRefusal, DataError) as refused:  # the second: too few held-out examples to choose by
            progress.say(f"  no layer goes back to fp32: {refused.came}")
        else:
            return
    quantize(told, store=workshop, progress=progress)


def _cascade(
    command: CompressCommand, names: Names, stages: Sequence[str], *, workshop: Path, progress: Progress
) -> None:
    """The cheapest cascade of the rungs that keeps the agreement with the version of fewer tokens."""
    told, home = command.cascade or CascadeRung(), Store(workshop)
    bundles = {name: home.bundle(*parse_reference(name)) for name in stages}
    whole = bundles[names.whole]
    part = held_out_part(told.held_out, whole, prepare_for(whole, progress))
    asked = {name: outputs_on(one, part, progress) for name, one in bundles.items()}
    answers = np.asarray(asked[names.whole].outputs.argmax(axis=1), np.int64)
    agreement, lasts = command.cascade_agreement, (names.whole, f"{names.cut}/2")
    chain = cheapest_chain(asked, lasts, answers=answers, agreement=agreement, seed=command.seed)
    if chain is None:
        raise GateRefusal(
            "no cascade of the rungs costs less than its last stage alone",
            expected=f"stages that are sure of some texts at an agreement of {agreement:.2%}",
            do="Ask for less agreement (cascade.agreement), or train the students longer.",
        )
    progress.say(f"  stages: {', '.join(chain)}")
    made = CascadeCommand(
        name=names.of("cascade"),
        stages=chain,
        agree_with=None if chain[-1] == names.whole else names.whole,
        agreement=agreement,
        confidence=told.confidence,
        held_out=told.held_out,
        measure=None,
        seed=command.seed,
    )
    cascade(made, store=workshop, progress=progress)
