"""``penjing finetune``: pretrained weights and labelled data in, a measured version out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penjing.app.finishing import finish
from penjing.app.holding import hold
from penjing.app.mirrors.base import Run
from penjing.app.mirrors.mirrored import check_mirrors, mirrored
from penjing.app.mirrors.recipe import run_digest
from penjing.app.prepared import PreparedData
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import Judgement, TextSettings, flow_of, prepare
from penjing.core.errors import UsageError
from penjing.core.files import digest
from penjing.core.machine import describe_machine
from penjing.core.nouns import Embedding, Task
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.data import load_splits
from penjing.evaluate import SystemRow
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, ManifestDraft, Parent, Store, TextLimits
from penjing.train.place import place_among
from penjing.train.profile import UNTIMED, Clock


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


def finetune(recipe: FinetuneRecipe, *, store: Path, clock: Clock = UNTIMED, progress: Progress = SILENT) -> Finetuned:
    """Fine-tune, export with proof, judge on the test split, measure, publish.

    Killed at any point and called again with the same recipe, it goes on from its last state.

    A :class:`penjing.train.profile.Profile` for ``clock`` says afterwards where the time went.

    Raises:
        PenjingError: of the stage that failed; the store is then as it was.
    """
    check_mirrors(recipe.mirrors)
    refuse_scratch_by_several(recipe)
    checkpoint = find_checkpoint(str(_from_scratch(recipe, store, progress)) if recipe.scratch else recipe.model)
    _refuse_too_long(recipe, checkpoint)
    with clock.part("read and tokenise"):
        data = prepared(recipe, checkpoint, progress)
    embedding = checkpoint.embedding if recipe.task is Task.FEATURE_EXTRACTION else None
    states = run_directory(store, recipe, data=data, checkpoint=checkpoint)
    run = Run(recipe.name, states.name, recipe)
    with Store(store).stage(recipe.name) as staging, mirrored(recipe.mirrors, run, progress) as mirrors:
        from penjing.app.training import train_checkpoint  # only now: it loads torch

        trained = train_checkpoint(
            recipe,
            checkpoint,
            data,
            embedding=embedding,
            states=states,
            target=staging.path / "checkpoint",
            on_step=mirrors.step,
            clock=clock,
            progress=progress,
        )
        draft = _draft(recipe, checkpoint, data, embedding=embedding)
        draft = draft.model_copy(update={"notes": (*draft.notes, *trained.remarks(recipe.training))})
        with clock.part("export and judge"):
            ended = finish(
                staging,
                draft,
                data,
                name=recipe.name,
                recipe=recipe,
                export=recipe.export,
                measured=None if recipe.task in WRITING_TASKS else recipe.measure,
                history=trained.history,
                hold=partial(hold, wanted=recipe.checkpoint, base=checkpoint),
                progress=progress,
            )
        mirrors.end(ended.bundle)
    shutil.rmtree(states, ignore_errors=True)
    if recipe.scratch:
        shutil.rmtree(checkpoint.path, ignore_errors=True)
    return Finetuned(ended.bundle, ended.judgement, data, ended.systems, trained.seconds, metric=ended.judgement.metric)


def prepared(recipe: FinetuneRecipe, checkpoint: Checkpoint, progress: Progress) -> PreparedData:
    """The recipe's data as this checkpoint reads it.

    Raises:
        DataError: it cannot be read, or nothing can be learnt from it.
    """
    flow, text = flow_of(recipe.task, recipe.problem), recipe.text
    settings = TextSettings(
        checkpoint.tokenizer, text.max_tokens, text.overlap, translation=recipe.translation, start=checkpoint.start_id
    )
    data = prepare(recipe.data, flow, settings, seed=recipe.seed, progress=progress)
    flow.refuse_unteachable(data.train)
    return data


def _from_scratch(recipe: FinetuneRecipe, store: Path, progress: Progress) -> Path:
    """A new model of the recipe's size; the same one where this recipe was killed before."""
    from penjing.app.scratch import scratch_checkpoint

    train = load_splits(recipe.data, recipe.task, seed=recipe.seed).train
    progress.say(f"Training a tokenizer on {train.rows:,} pairs …")
    target = store / ".runs" / f"scratch-{digest({'recipe': run_digest(recipe), 'data': train.sha256})[:16]}"
    return scratch_checkpoint(recipe, (text for one in train.examples for text in one.texts), target)


def refuse_scratch_by_several(recipe: FinetuneRecipe) -> None:
    """A tokenizer learnt in each of several processes would be another one in each.

    Raises:
        UsageError: the recipe asks for that.
    """
    if recipe.scratch and place_among()[1] > 1:
        raise UsageError("scratch by several processes", expected="one process, or a model to begin with")


def _refuse_too_long(recipe: FinetuneRecipe, checkpoint: Checkpoint) -> None:
    if recipe.text.max_tokens > checkpoint.max_tokens:
        raise UsageError(
            f"text.max_tokens is {recipe.text.max_tokens}",
            expected=f"at most {checkpoint.max_tokens}, the positions of {checkpoint.source}",
        )


def run_directory(store: Path, recipe: FinetuneRecipe, *, data: PreparedData, checkpoint: Checkpoint) -> Path:
    """Where this run, and only this run, keeps its states: named by all that defines it."""
    defined = {"recipe": run_digest(recipe), "data": data.train.split.sha256, "checkpoint": checkpoint.digest}
    return store / ".runs" / digest(defined)[:16]


def _draft(
    recipe: FinetuneRecipe,
    checkpoint: Checkpoint,
    data: PreparedData,
    *,
    embedding: Embedding | None,
) -> ManifestDraft:
    return ManifestDraft(
        task=recipe.task,
        labels=data.outputs,
        problem_type=recipe.problem,
        embedding=embedding,
        translation=recipe.translation if recipe.task is Task.TRANSLATION else None,
        text=TextLimits(
            max_tokens=recipe.text.max_tokens,
            pad_id=checkpoint.pad_id,
            stride=recipe.text.overlap if flow_of(recipe.task, recipe.problem).windowed else 0,
        ),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe_digest(recipe),
        parents=(Parent(kind="checkpoint", name=checkpoint.source, digest=checkpoint.digest),),
        decoding=flow_of(recipe.task, recipe.problem).settings_of(data.train),
        data={name: part.record for name, part in data.parts.items()},
        notes=tuple(data.data.report.remarks()),
        machine=describe_machine(),
    )
