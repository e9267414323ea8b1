"""``penjing quantize``: a version in, its int8 form out, if it keeps what was promised.

Quality is compared text by text on the whole test split. A version that loses too much is refused
there and then, and the refusal is written to the ledger; for another the speed is measured through
the server, both versions in turns, and it is registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from penjing.app.comparing import answers_of, costs, pass_gate
from penjing.app.evidence import conditions, report_content, system_rows
from penjing.app.int8_files import Int8Files, make_int8_files
from penjing.app.judging import compare, judge_files, tune_files
from penjing.app.measure import System, measure, served, trial_server, trial_texts
from penjing.app.origin import origin_of, prepare_for
from penjing.app.prepared import Part, PreparedData
from penjing.app.publishing import publish, served_bytes
from penjing.app.quantize_writing import measure_writers
from penjing.app.recipes import QuantizeCommand
from penjing.app.restoring import Restored, judge_for
from penjing.app.tasks import Judgement, flow_of
from penjing.core.errors import UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Change, Comparison, EmbeddingChange, NumbersChange, SystemRow
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, EngineSpec, ManifestDraft, Parent, Store, parse_reference


@dataclass(frozen=True, slots=True)
class Quantized:
    """What came of it.

    Attributes:
        bundle: the new version.
        judgement: its scores on the test split.
        comparison: against the version it came from.
        systems: the speed table, slowest baseline first.
        restored: what accuracy control did; None where it was not asked for.
    """

    bundle: Bundle
    judgement: Judgement
    comparison: Change
    systems: tuple[SystemRow, ...]
    restored: Restored | None = None


class Peer(Protocol):
    """Another system to measure beside the two versions."""

    @property
    def system(self) -> System:
        """How to ask it."""

    def accuracy(self, part: Part) -> Measurement:
        """Of the answers it gave while it was measured."""

    def agreement(self, part: Part, predictions: np.ndarray) -> tuple[int, int]:
        """(answers equal to ``predictions``, texts it was asked)."""

    def served_bytes(self) -> int:
        """What serving it loads."""


def quantize(
    command: QuantizeCommand,
    *,
    store: Path,
    data: PreparedData | None = None,
    peer: Peer | None = None,
    progress: Progress = SILENT,
) -> Quantized:
    """Quantise, judge, measure, and register or refuse.

    Args:
        command: which version, and how.
        store: where it lies and where the new one goes.
        data: its data where the caller has it already; else it is loaded by the version's own recipe.
        peer: one more system in the speed table, its first row.
        progress: where to show it.

    Raises:
        UsageError: the version holds no data recipe, or is int8 already.
        GateRefusal: more accuracy would be lost than allowed; nothing is registered.
    """
    home = Store(store)
    parent = home.bundle(*parse_reference(command.model))
    _refuse_quantised(parent)
    data = data or prepare_for(parent, progress, given=command.data)
    judge = judge_for(command, parent, data, home=home, progress=progress)
    with home.stage(parent.manifest.model) as staging:
        made = make_int8_files(parent, staging.path, data, command=command, judge=judge, home=home, progress=progress)
        draft = _draft(parent, made, command, directory=staging.path, data=data)
        draft = tune_files(staging.path, draft, data.validation)
        judgement = judge_files(staging.path, draft, data.test, name="Judging int8", progress=progress)
        before = answers_of(parent, data.test, progress)
        changed = compare(draft, before, judgement.predictions, data.test)
        draft = draft.model_copy(update={"metrics": judgement.result.metrics | costs(changed)})
        verdict = pass_gate(command.quantize.max_drop, changed, home=home, parent=parent, form="int8")
        metric = judgement.metric
        quality = (_quality_of(parent, metric, changed), draft.metrics.get(metric))
        systems, speed = _measure(
            parent, staging.path, draft, test=data.test, quality=quality, command=command, peer=peer, progress=progress
        )
        draft = draft.model_copy(update={"speed": speed, "notes": draft.notes + _likeness(peer, data.test, before)})
        content = report_content(
            draft,
            model=parent.manifest.model,
            recipe=command,
            quality=judgement.result,
            metric=metric,
            data=data,
            systems=systems,
            conditions=conditions(command.measure),
            comparison=Comparison(baseline=parent.reference, candidate="int8", result=changed),
            verdict=verdict,
        )
        bundle = publish(staging, draft, content=content, judgement=judgement, test=data.test)
    return Quantized(bundle, judgement, changed, systems, made.restored)


def _refuse_quantised(parent: Bundle) -> None:
    engine = parent.manifest.engine
    if engine is None or engine.name == "cascade" or engine.precision == "int8":
        is_whole = engine is not None and engine.name != "cascade"
        what = "is int8 already" if is_whole else "is a cascade" if engine else "holds no engine"
        raise UsageError(f"{parent.reference} {what}", expected="an fp32 version", do="Name the version it came from.")


def _draft(
    parent: Bundle, int8: Int8Files, command: QuantizeCommand, *, directory: Path, data: PreparedData
) -> ManifestDraft:
    manifest = parent.manifest
    recipe = command.model_dump(mode="json")
    return ManifestDraft(
        task=manifest.task,
        labels=manifest.labels,
        problem_type=manifest.problem_type,
        embedding=manifest.embedding,
        translation=manifest.translation,
        text=manifest.text,
        engine=_engine(parent, int8, str(int8.made.file.relative_to(directory))),
        recipe=recipe | {"origin": origin_of(parent)},
        recipe_digest=recipe_digest(command),
        parents=(Parent(kind="version", name=parent.reference, digest=parent.digest),),
        decoding=manifest.decoding,
        data=manifest.data or {name: part.record for name, part in data.parts.items()},
        notes=int8.notes(),
        machine=describe_machine(),
    )


def _engine(parent: Bundle, int8: Int8Files, file: str) -> EngineSpec:
    manifest, kept = parent.manifest, int8.restored.kept if int8.restored else ()
    return EngineSpec(
        name=int8.made.engine,
        precision="int8",
        file=file,
        takes_type_ids=manifest.engine.takes_type_ids if manifest.engine else True,
        reads=manifest.engine.reads if manifest.engine else flow_of(manifest.task, manifest.problem_type).reads,
        fp32_layers=tuple(one.told for one in kept),
    )


def _likeness(peer: Peer | None, test: Part, fp32: np.ndarray) -> tuple[str, ...]:
    """A peer is asked a few texts, so its accuracy is of those; this says how it stands to ours."""
    if peer is None:
        return ()
    same, asked = peer.agreement(test, fp32)
    return (f"Of the {asked} test texts that {peer.system.name} was asked, it answers {same} as Penjing fp32 does.",)


def _quality_of(parent: Bundle, metric: str, changed: Change) -> Measurement | None:
    """What the parent scores: as it says, or, where it came without a score, as it was seen just now."""
    if isinstance(changed, EmbeddingChange | NumbersChange) and metric in changed.differences:
        return parent.manifest.metrics.get(metric, changed.baseline)
    return parent.manifest.metrics.get(metric)


def _measure(
    parent: Bundle,
    directory: Path,
    draft: ManifestDraft,
    *,
    test: Part,
    quality: tuple[Measurement | None, Measurement | None],
    command: QuantizeCommand,
    peer: Peer | None,
    progress: Progress,
) -> tuple[tuple[SystemRow, ...], dict[str, Measurement]]:
    """The speed table of all systems, and the figures of the new version with its speed-up over the old."""
    versions = [(parent.path, parent.manifest.draft()), (directory, draft)]
    if draft.task in WRITING_TASKS:
        return measure_writers(versions, quality, test=test, recipe=command.measure, progress=progress)
    texts, tokens = trial_texts(test, flow_of(draft.task, draft.problem_type))
    with trial_server(versions, model="trial") as url:
        systems = [
            served(name, url, f"/v1/models/trial/versions/{version}:predict", clients=command.measure.clients)
            for version, name in enumerate(("Penjing fp32", "Penjing int8"), start=1)
        ]
        if peer:
            systems.insert(0, peer.system)
        speeds = measure(systems, texts, tokens, recipe=command.measure, progress=progress)
    scores, sizes = [*quality], [parent.manifest.engine_bytes, served_bytes(directory, draft)]
    if peer:
        scores.insert(0, peer.accuracy(test))
        sizes.insert(0, peer.served_bytes())
    figures = speeds[-1].summary() | {"speedup": speeds[-1].ratio_to(speeds[-2])}
    return system_rows(speeds, scores, sizes), figures
