"""Accuracy control: int8 judged on held-out data, and its worst layers returned to fp32 until the promise holds.

The promise is a gate's: the lower end of the difference's 95 % interval, text by text, on held-out texts. The test
split has no part in it; it judges what came of it afterwards, as always.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from penjing.app.held_out import held_out_part
from penjing.app.judging import compare, judge_files
from penjing.app.origin import prepare_for
from penjing.app.prepared import Part, PreparedData
from penjing.app.recipes import QuantizeCommand
from penjing.app.tasks import flow_of
from penjing.compress.quantize import Quantised, make_int8
from penjing.compress.restore import Ranked, fewest, rank_layers
from penjing.core.errors import DataError, GateRefusal, UsageError
from penjing.core.nouns import Measurement
from penjing.core.progress import Progress
from penjing.engines import EngineName
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, EngineSpec, ManifestDraft, Store, parse_reference
from penjing.tokens import Encoding

_LEAST_HELD_OUT = 30  # examples; fewer say next to nothing


@dataclass(frozen=True, slots=True)
class Restored:
    """What accuracy control did.

    Attributes:
        made: the int8 form, some layers of which may be in fp32.
        kept: those layers, the worst first.
        layers: how many there are.
        metric: what the loss was counted in.
        before, after: the difference on held-out data with all layers in int8, and as it is now.
    """

    made: Quantised
    kept: tuple[Ranked, ...]
    layers: int
    metric: str
    before: Measurement
    after: Measurement

    def told(self) -> tuple[str, ...]:
        """It in sentences, for the version's notes."""
        first = f"On {self.before.n:,} held-out examples int8 changes {self.metric} by {_signed(self.before)}"
        if not self.kept:
            return (f"{first}: no layer had to go back to fp32.",)
        names = "; ".join(f"{one.told} ({one.error:.2g})" for one in self.kept)
        return (
            f"{first}, and by {_signed(self.after)} with {len(self.kept)} of {self.layers} layers in fp32.",
            f"Layers in fp32, with what int8 in each alone does to the outputs, as a share of their variance: {names}.",
        )


def _at_worst(change: Measurement) -> float:
    return change.value if change.low is None else change.low


def _signed(change: Measurement) -> str:
    bounds = "" if change.low is None else f" [{change.low:+.4f}, {change.high:+.4f}]"
    return f"{change.value:+.4f}{bounds}"


def judge_for(
    command: QuantizeCommand, parent: Bundle, data: PreparedData, *, home: Store, progress: Progress
) -> Judge | None:
    """What judges on held-out data; None where nothing is to be restored.

    Raises:
        UsageError: there are no held-out data, or the model writes.
        DataError: too few of them.
        GateRefusal: the version itself has lost too much to the one that the loss is counted from.
    """
    told = command.quantize.restore
    if told is None:
        return None
    if parent.manifest.task in WRITING_TASKS:
        raise UsageError(f"quantize.restore for {parent.manifest.task.value}", expected="an encoder's task")
    part = held_out_part(told.held_out, parent, data)
    if part.split.rows < _LEAST_HELD_OUT:
        raise DataError(
            f"{part.split.rows} held-out examples to restore layers by", expected=f"at least {_LEAST_HELD_OUT}"
        )
    version, theirs = parent, part
    if told.against is not None:
        version = home.bundle(*parse_reference(told.against))
        theirs = held_out_part(told.held_out, version, prepare_for(version, progress))
        if theirs.split.sha256 != part.split.sha256:
            raise UsageError(f"{version.reference} has other held-out data", expected=f"those of {parent.reference}")
    before = judge_files(version.path, version.manifest, theirs, name=f"Judging {version.reference}", progress=progress)
    judge = Judge(command, parent, part, before.predictions, home)
    if version.reference != parent.reference:
        _refuse_hopeless(judge, version, progress)
    return judge


def _refuse_hopeless(judge: Judge, against: Bundle, progress: Progress) -> None:
    """Refuse where the version itself, without int8, has lost too much."""
    parent = judge.parent
    metric, lost = judge.lost(parent.path, parent.manifest.draft(), progress)
    if not judge.holds(lost):
        came = f"{parent.reference} itself changes {metric} of {against.reference} by {_signed(lost)}"
        raise GateRefusal(came, expected=f"a loss of at most {judge.command.quantize.restored_drop:g}")


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells what an int8 form loses on held-out data.

    Attributes:
        command: settings.
        parent: what is quantised.
        part: the held-out data.
        before: the answers from which the loss is counted.
        home: whose ledger hears of a refusal.
    """

    command: QuantizeCommand
    parent: Bundle
    part: Part
    before: np.ndarray
    home: Store

    def difference(self, engine: EngineName, file: Path, progress: Progress) -> tuple[str, Measurement]:
        """Of the metric that the task goes by, text by text."""
        manifest = self.parent.manifest
        spec = EngineSpec(
            name=engine,
            precision="int8",
            file=file.name,
            reads=flow_of(manifest.task, manifest.problem_type).reads,
        )
        draft = manifest.draft().model_copy(update={"engine": spec, "stages": ()})
        return self.lost(file.parent, draft, progress)

    def lost(self, directory: Path, draft: ManifestDraft, progress: Progress) -> tuple[str, Measurement]:
        """The same of the files of a version."""
        answers = judge_files(directory, draft, self.part, name="Judging on held-out data", progress=progress)
        changed = compare(draft, self.before, answers.predictions, self.part)
        ((metric, lost),) = changed.differences.items()
        return metric, lost

    def holds(self, lost: Measurement) -> bool:
        """Whether the promise is kept."""
        allowed = self.command.quantize.restored_drop
        return allowed is None or _at_worst(lost) >= -allowed


def restored(
    made: Quantised, onnx: Path, calibration: Sequence[Encoding], *, judge: Judge, progress: Progress
) -> Restored:
    """An int8 form that keeps the promise, written in the place of ``made``.

    Raises:
        GateRefusal: none does; the refusal is noted in the ledger.
        ExportError: a quantiser failed.
    """
    engine = cast("EngineName", made.engine)
    metric, before = judge.difference(engine, made.file, progress)
    if judge.holds(before):
        progress.say(f"int8 changes {metric} on held-out data by {_signed(before)}: no layer has to go back to fp32.")
        return Restored(made, (), 0, metric, before, before)
    manifest = judge.parent.manifest
    reads = flow_of(manifest.task, manifest.problem_type).reads
    progress.say(f"int8 changes {metric} on held-out data by {_signed(before)}: ranking the layers.")
    ranked = rank_layers(engine, onnx, calibration, reads=reads)
    tried: dict[int, Measurement] = {}
    with tempfile.TemporaryDirectory() as scratch:

        def holds(count: int) -> bool:
            kept = [one.layer for one in ranked[:count]]
            target = Path(scratch) / str(count)
            file = make_int8(engine, onnx, target=target, calibration=calibration, reads=reads, kept=kept)
            _, tried[count] = judge.difference(engine, file, progress)
            progress.say(f"  {count} of {len(ranked)} layers in fp32: {metric} {_signed(tried[count])}")
            return judge.holds(tried[count])

        count = fewest(len(ranked) - 1, holds)
        if count is None:
            raise _impossible(judge, metric, tried)
        for file in (Path(scratch) / str(count)).iterdir():
            shutil.move(file, made.file.parent / file.name)
    note = f"{made.note}; {count} of {len(ranked)} layers in fp32"
    return Restored(replace(made, note=note), tuple(ranked[:count]), len(ranked), metric, before, tried[count])


def _impossible(judge: Judge, metric: str, tried: dict[int, Measurement]) -> GateRefusal:
    best = max(tried.items(), key=lambda one: (_at_worst(one[1]), -one[0]))
    came = f"the best int8 form changes {metric} on held-out data by {_signed(best[1])}, with {best[0]} layers in fp32"
    judge.home.ledger.append("refused", judge.parent.reference, {"form": "int8", "reasons": [came]})
    return GateRefusal(
        came,
        expected=f"a loss of at most {judge.command.quantize.restored_drop:g} by the lower end of the interval",
        do="Allow more, give more held-out data, or keep serving fp32.",
    )
