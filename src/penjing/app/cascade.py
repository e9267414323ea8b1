"""``penjing cascade``: versions in, one version out that asks them in turn, the cheapest first.

Promise: it agrees with its last stage (or another version, ``agree_with``) as often as was asked, with the confidence
that was asked, on texts like those held out (:mod:`penjing.app.thresholds`); the test split then says how often it did.
Every stage's files lie in the new version, which needs none of the others.

Trade: stages read the same tokens, so that a text is tokenised once: versions of another tokenizer are refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penjing.app.cascade_recipe import CascadeCommand
from penjing.app.comparing import answers_of, costs, pass_gate
from penjing.app.evidence import conditions, report_content, system_rows
from penjing.app.held_out import bias_of, held_out_part, outputs_on
from penjing.app.judging import compare, judge_files, open_drafted
from penjing.app.measure import Speed, measure, served, trial_server, trial_texts
from penjing.app.origin import origin_of, prepare_for
from penjing.app.prepared import Part
from penjing.app.publishing import publish, served_bytes
from penjing.app.recipes import MeasureRecipe
from penjing.app.tasks import Judgement, flow_of
from penjing.app.thresholds import Thresholds, find_thresholds
from penjing.core.errors import UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Measurement, Problem, Task
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.engines.bulk import packed_batches
from penjing.evaluate import Change, Comparison, SystemRow
from penjing.evaluate.intervals import share
from penjing.store import Bundle, EngineSpec, ManifestDraft, Parent, StageSpec, Store, parse_reference


@dataclass(frozen=True, slots=True)
class Cascaded:
    """What came of it.

    Attributes:
        bundle: the new version.
        judgement: its scores on the test split.
        change: against the version it is to agree with.
        shares: of the test texts that each stage answered.
        systems: the speed table, the last stage first; empty where it was not measured.
    """

    bundle: Bundle
    judgement: Judgement
    change: Change
    shares: tuple[Measurement, ...]
    systems: tuple[SystemRow, ...]


def cascade(command: CascadeCommand, *, store: Path, progress: Progress = SILENT) -> Cascaded:
    """Find thresholds, put the stages together, judge, measure, register or refuse.

    Raises:
        UsageError: stages that do not go together, or a task that has no cascade.
        DataError: held-out texts that cannot be used.
        GateRefusal: the agreement cannot be kept, or more would be lost than allowed; nothing is registered.
    """
    home = Store(store)
    stages = [home.bundle(*parse_reference(name)) for name in command.stages]
    _refuse_unlike(stages)
    last = stages[-1]
    like = home.bundle(*parse_reference(command.agree_with)) if command.agree_with else last
    _refuse_unlike([like, last])
    data = prepare_for(last, progress)
    held_out = held_out_part(command.held_out, last, data)
    found = _thresholds(command, stages, held_out, like=like, progress=progress)
    with home.stage(command.name) as staging:
        draft = _draft(command, stages, found, like=like, held_out=held_out, target=staging.path)
        judgement = judge_files(staging.path, draft, data.test, name="Judging the cascade", progress=progress)
        change = compare(draft, answers_of(like, data.test, progress), judgement.predictions, data.test)
        verdict = pass_gate(command.max_drop, change, home=home, parent=like, form="cascade")
        shares = _shares(staging.path, draft, data.test)
        named = {f"stage_{number}_share": one for number, one in enumerate(shares, start=1)}
        draft = draft.model_copy(update={"metrics": judgement.result.metrics | costs(change) | named})
        systems: tuple[SystemRow, ...] = ()
        if command.measure:
            systems, speeds = _measured(
                stages, staging.path, draft, data.test, judgement, recipe=command.measure, progress=progress
            )
            gain = {"speedup": speeds[-1].ratio_to(speeds[0])}
            draft = draft.model_copy(update={"speed": speeds[-1].summary() | gain})
        content = report_content(
            draft,
            model=command.name,
            recipe=command,
            quality=judgement.result,
            metric=judgement.metric,
            data=data,
            systems=systems,
            conditions=conditions(command.measure) if command.measure else "",
            comparison=Comparison(baseline=like.reference, candidate="cascade", result=change),
            verdict=verdict,
        )
        bundle = publish(staging, draft, content=content, judgement=judgement, test=data.test)
    return Cascaded(bundle, judgement, change, shares, systems)


def _refuse_unlike(stages: Sequence[Bundle]) -> None:
    """Refuse stages that are not for one task, of the same labels, from the same tokens."""
    last = stages[-1]
    for one in stages:
        manifest = one.manifest
        single = manifest.problem_type in (None, Problem.SINGLE_LABEL)
        if manifest.task is not Task.TEXT_CLASSIFICATION or not single:
            what = manifest.task.value if single else f"{manifest.task.value}, {manifest.problem_type}"
            raise UsageError(f"{one.reference} is for {what}", expected="text-classification with one label a text")
        if manifest.engine is None or manifest.stages:
            what = "is a cascade itself" if manifest.stages else "holds no engine"
            raise UsageError(f"{one.reference} {what}", expected="plain versions as stages", do="Name its stages.")
        if manifest.labels != last.manifest.labels:
            raise UsageError(
                f"the labels of {one.reference} ({_some(manifest.labels)}) are not those of {last.reference}",
                expected=f"the same in the same order ({_some(last.manifest.labels)})",
            )
        text, tokenizer = manifest.text, one.file(manifest.text.tokenizer).read_bytes()
        if (
            tokenizer != last.file(last.manifest.text.tokenizer).read_bytes()
            or text.max_tokens != last.manifest.text.max_tokens
        ):
            raise UsageError(
                f"{one.reference} and {last.reference} cut texts into different tokens",
                expected="stages of one tokenizer and one max_tokens, so that a text is tokenised once",
                do="Distil the smaller stages from the last one; of a pruned vocabulary, from the pruned version.",
            )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:4]) + (" …" if len(labels) > 4 else "")


def _thresholds(
    command: CascadeCommand, stages: Sequence[Bundle], part: Part, *, like: Bundle, progress: Progress
) -> Thresholds:
    outputs = [outputs_on(one, part, progress).outputs for one in stages]
    answers = None if like is stages[-1] else outputs_on(like, part, progress).outputs.argmax(axis=1)
    return find_thresholds(
        outputs,
        np.asarray(part.targets),
        agreement=command.agreement,
        confidence=command.confidence,
        seed=command.seed,
        answers=answers,
    )


def _draft(
    command: CascadeCommand,
    stages: Sequence[Bundle],
    found: Thresholds,
    *,
    like: Bundle,
    held_out: Part,
    target: Path,
) -> ManifestDraft:
    """The manifest so far; the stages' files are copied to ``target``."""
    last, specs = stages[-1], _specs(stages, found, target)
    tokenizer = target / last.manifest.text.tokenizer
    tokenizer.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(last.file(last.manifest.text.tokenizer), tokenizer)
    return ManifestDraft(
        task=last.manifest.task,
        labels=last.manifest.labels,
        problem_type=last.manifest.problem_type,
        text=last.manifest.text,
        engine=specs[-1].engine.model_copy(update={"name": "cascade"}),
        stages=tuple(specs),
        recipe=command.model_dump(mode="json") | {"origin": dict(origin_of(last))},
        recipe_digest=recipe_digest(command),
        parents=tuple(Parent(kind="version", name=one.reference, digest=one.digest) for one in stages),
        data=last.manifest.data | {"held_out": held_out.record},
        notes=(_promise(command, like, found),),
        machine=describe_machine(),
    )


def _specs(stages: Sequence[Bundle], found: Thresholds, target: Path) -> list[StageSpec]:
    """What the manifest says of the stages; their engines are copied to ``target``."""
    return [
        StageSpec(
            engine=_bring(one, target / "engine" / f"stage-{number}", root=target),
            source=one.reference,
            temperature=found.temperatures[number - 1],
            sureness_temperature=found.sureness_temperatures[number - 1],
            bias=tuple(bias_of(one).tolist()) if bias_of(one).any() else (),
            threshold=None if number == len(stages) else found.threshold,
            share=found.shares[number - 1],
        )
        for number, one in enumerate(stages, start=1)
    ]


def _promise(command: CascadeCommand, like: Bundle, found: Thresholds) -> str:
    seen = found.agreement
    return (
        f"Agrees with {like.reference} on at least {command.agreement:.2%} of texts like those held out, with "
        f"{command.confidence:.0%} confidence; of the {seen.n:,} that tested it, on {seen.value:.2%}."
    )


def _bring(stage: Bundle, target: Path, *, root: Path) -> EngineSpec:
    """Copy a stage's engine; what it is called now."""
    spec = stage.manifest.engine
    if spec is None:
        raise UsageError(f"{stage.reference} holds no engine", expected="an exported model")
    shutil.copytree(stage.path / "engine", target)
    file = target / Path(spec.file).relative_to("engine")
    return spec.model_copy(update={"file": str(file.relative_to(root))})


def _shares(directory: Path, draft: ManifestDraft, test: Part) -> tuple[Measurement, ...]:
    """Of the test texts, what each stage answers."""
    engine, counts = open_drafted(directory, draft), np.zeros(len(draft.stages), np.int64)
    try:
        for batch in packed_batches(test.sequences):
            counts += np.bincount(engine.run_staged(batch)[1], minlength=len(counts))
    finally:
        engine.close()
    return tuple(share(count, len(test.sequences)) for count in counts.tolist())


def _measured(
    stages: Sequence[Bundle],
    directory: Path,
    draft: ManifestDraft,
    test: Part,
    judgement: Judgement,
    *,
    recipe: MeasureRecipe,
    progress: Progress,
) -> tuple[tuple[SystemRow, ...], list[Speed]]:
    """The speed table: the last stage, the others, the cascade."""
    texts, tokens = trial_texts(test, flow_of(draft.task, draft.problem_type))
    alone = [stages[-1], *stages[:-1]]
    versions = [*((one.path, one.manifest.draft()) for one in alone), (directory, draft)]
    with trial_server(versions, model="trial") as url:
        systems = [
            served(name, url, f"/v1/models/trial/versions/{at}:predict", clients=recipe.clients)
            for at, name in enumerate((*(one.reference for one in alone), "cascade"), start=1)
        ]
        speeds = measure(systems, texts, tokens, recipe=recipe, progress=progress)
    quality = [manifest.metrics.get(judgement.metric) for _, manifest in versions]
    return system_rows(speeds, quality, [served_bytes(path, one) for path, one in versions]), speeds
