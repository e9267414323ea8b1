"""``penjing finetune``: pretrained weights and labelled data in, a measured version out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from penjing.app.evidence import conditions, learning_curve, report_content, system_rows
from penjing.app.holding import hold
from penjing.app.judging import judge_files, tune_files
from penjing.app.measure import Speed, measure, served, trial_server, trial_texts
from penjing.app.prepared import PreparedData
from penjing.app.publishing import export_fp32, publish, served_bytes
from penjing.app.recipes import FinetuneRecipe, MeasureRecipe
from penjing.app.tasks import Judgement, TextSettings, flow_of, prepare
from penjing.core.errors import UsageError
from penjing.core.files import digest
from penjing.core.machine import describe_machine
from penjing.core.nouns import Embedding, Measurement, Task
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import SystemRow
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, EngineSpec, ManifestDraft, Parent, Store, TextLimits

_PROBES = 16


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came of it.

    Attributes:
        bundle: the new version.
        judgement: its scores on the test split.
        data: what it was trained and judged on, for a next step that needs it again.
        systems: its speed through the server; empty where it was not measured.
        seconds: of training alone.
        metric: the measure of quality that it goes by.
    """

    bundle: Bundle
    judgement: Judgement
    data: PreparedData
    systems: tuple[SystemRow, ...]
    seconds: float
    metric: str


def finetune(recipe: FinetuneRecipe, *, store: Path, progress: Progress = SILENT) -> Finetuned:
    """Fine-tune, export with proof, judge on the test split, measure, publish.

    Killed at any point and called again with the same recipe, it goes on from its last state.

    Raises:
        PenjingError: of the stage that failed; the store is then as it was.
    """
    checkpoint = find_checkpoint(recipe.model)
    _refuse_too_long(recipe, checkpoint)
    flow, text = flow_of(recipe.task, recipe.problem), recipe.text
    settings = TextSettings(checkpoint.tokenizer, text.max_tokens, text.overlap)
    data = prepare(recipe.data, flow, settings, seed=recipe.seed, progress=progress)
    flow.refuse_unteachable(data.train)
    embedding = checkpoint.embedding if recipe.task is Task.FEATURE_EXTRACTION else None
    states = _run_directory(store, recipe, data, checkpoint)
    with Store(store).stage(recipe.name) as staging:
        from penjing.app.training import train_checkpoint  # only now: it loads torch

        trained = train_checkpoint(
            recipe,
            checkpoint,
            data,
            embedding=embedding,
            states=states,
            target=staging.path / "checkpoint",
            progress=progress,
        )
        progress.say("Exporting, and comparing the export with Transformers …")
        spec, difference = export_fp32(staging.path, recipe.export, probes=data.test.sequences[:_PROBES])
        draft = _draft(recipe, checkpoint, data, embedding=embedding, spec=spec, difference=difference)
        held = hold(staging.path / "checkpoint", recipe.checkpoint, base=checkpoint)
        draft = draft.model_copy(update={"notes": (*draft.notes, *trained.remarks(recipe.training), *held)})
        draft = tune_files(staging.path, draft, data.validation)
        judgement = judge_files(staging.path, draft, data.test, name="Judging fp32", progress=progress)
        draft = draft.model_copy(update={"metrics": draft.metrics | judgement.result.metrics})
        systems: tuple[SystemRow, ...] = ()
        if recipe.measure and recipe.task not in WRITING_TASKS:
            speeds = _measure_alone(staging.path, draft, data, recipe=recipe.measure, progress=progress)
            draft = draft.model_copy(update={"speed": speeds[0].summary()})
            systems = system_rows(
                speeds, [judgement.result.metrics[judgement.metric]], [served_bytes(staging.path, draft)]
            )
        content = report_content(
            draft,
            model=recipe.name,
            recipe=recipe,
            quality=judgement.result,
            metric=judgement.metric,
            data=data,
            learning=learning_curve(trained.history),
            systems=systems,
            conditions=conditions(recipe.measure) if recipe.measure and systems else "",
        )
        bundle = publish(staging, draft, content=content, judgement=judgement, test=data.test)
    shutil.rmtree(states, ignore_errors=True)
    return Finetuned(bundle, judgement, data, systems, trained.seconds, judgement.metric)


def _refuse_too_long(recipe: FinetuneRecipe, checkpoint: Checkpoint) -> None:
    if recipe.text.max_tokens > checkpoint.max_tokens:
        raise UsageError(
            f"text.max_tokens is {recipe.text.max_tokens}",
            expected=f"at most {checkpoint.max_tokens}, the positions of {checkpoint.source}",
        )


def _run_directory(store: Path, recipe: FinetuneRecipe, data: PreparedData, checkpoint: Checkpoint) -> Path:
    """Where this run, and only this run, keeps its states: named by all that defines it."""
    defined = {"recipe": recipe_digest(recipe), "data": data.train.split.sha256, "checkpoint": checkpoint.digest}
    return store / ".runs" / digest(defined)[:16]


def _draft(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    embedding: Embedding | None,
    spec: EngineSpec,
    difference: Measurement,
) -> ManifestDraft:
    return ManifestDraft(
        task=recipe.task,
        labels=data.outputs,
        problem_type=recipe.problem,
        embedding=embedding,
        text=TextLimits(
            max_tokens=recipe.text.max_tokens,
            pad_id=checkpoint.pad_id,
            stride=recipe.text.overlap if flow_of(recipe.task, recipe.problem).windowed else 0,
        ),
        engine=spec,
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe_digest(recipe),
        parents=(Parent(kind="checkpoint", name=checkpoint.source, digest=checkpoint.digest),),
        decoding=flow_of(recipe.task, recipe.problem).settings_of(data.train),
        data={name: part.record for name, part in data.parts.items()},
        metrics={"export_difference": difference},
        notes=tuple(data.data.report.remarks()),
        machine=describe_machine(),
    )


def _measure_alone(
    directory: Path, draft: ManifestDraft, data: PreparedData, *, recipe: MeasureRecipe, progress: Progress
) -> list[Speed]:
    texts, tokens = trial_texts(data.test, flow_of(draft.task, draft.problem_type))
    with trial_server([(directory, draft)], model="trial") as url:
        system = served("Penjing fp32", url, "/v1/models/trial/versions/1:predict", clients=recipe.clients)
        return measure([system], texts, tokens, recipe=recipe, progress=progress)
