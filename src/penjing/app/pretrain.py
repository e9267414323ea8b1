"""``penjing pretrain``: text without labels in, a measured language model out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from penjing.app.corpus import Corpus, prepare_corpus
from penjing.app.evidence import conditions, learning_curve, report_content, system_rows
from penjing.app.judging import judge_files
from penjing.app.measure import Speed, measure, served, trial_server, trial_texts
from penjing.app.mirrors.base import Run
from penjing.app.mirrors.mirrored import check_mirrors, mirrored
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.publishing import export_fp32, publish, served_bytes
from penjing.app.recipes import MeasureRecipe
from penjing.app.tasks import Judgement, flow_of
from penjing.core.machine import describe_machine
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Comparison, DataReport, SystemRow
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, ManifestDraft, Parent, Store, TextLimits

_PROBES = 16
BEFORE = "perplexity_before"


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What came of it.

    Attributes:
        bundle: the new version.
        before: scores of the model that training began with, on the held-out text.
        judgement: scores of the new version on the same.
        systems: its speed through the server; empty where it was not measured.
        seconds: of training alone.
        tokens: that were trained on, those of every epoch counted.
    """

    bundle: Bundle
    before: Judgement
    judgement: Judgement
    systems: tuple[SystemRow, ...]
    seconds: float
    tokens: int


def pretrain(recipe: PretrainRecipe, *, store: Path, progress: Progress = SILENT) -> Pretrained:
    """Read, learn a tokenizer if there is none, train, export with proof, judge on held-out text, publish.

    Killed at any point and called again with the same recipe, it goes on from what is done.

    Raises:
        PenjingError: of the stage that failed; the store is then as it was.
    """
    check_mirrors(recipe.mirrors)
    corpus = prepare_corpus(recipe, store=store, progress=progress)
    run = Run(recipe.name, corpus.states.name, recipe)
    with Store(store).stage(recipe.name) as staging, mirrored(recipe.mirrors, run, progress) as mirrors:
        from penjing.app.pretraining import pretrain_checkpoint  # only now: it loads torch

        before, trained = pretrain_checkpoint(
            recipe, corpus, target=staging.path / "checkpoint", on_step=mirrors.step, progress=progress
        )
        progress.say("Exporting, and comparing the export with Transformers …")
        spec, difference = export_fp32(staging.path, recipe.export, probes=corpus.test.sequences[:_PROBES])
        draft = _draft(recipe, corpus).model_copy(update={"engine": spec})
        judgement = judge_files(staging.path, draft, corpus.test, name="Judging fp32", progress=progress)
        metrics = {BEFORE: before.result.metrics["perplexity"], "export_difference": difference}
        notes = (*draft.notes, *trained.remarks(recipe.training))
        draft = draft.model_copy(update={"metrics": metrics | judgement.result.metrics, "notes": notes})
        systems: tuple[SystemRow, ...] = ()
        if recipe.measure and recipe.task not in WRITING_TASKS:
            speeds = _measured(staging.path, draft, corpus, recipe=recipe.measure, progress=progress)
            draft = draft.model_copy(update={"speed": speeds[0].summary()})
            systems = system_rows(
                speeds, [judgement.result.metrics[judgement.metric]], [served_bytes(staging.path, draft)]
            )
        changed = flow_of(recipe.task).compare(before.predictions, judgement.predictions, part=corpus.test, outputs=())
        content = report_content(
            draft,
            model=recipe.name,
            recipe=recipe,
            quality=judgement.result,
            metric=judgement.metric,
            learning=learning_curve(trained.history),
            systems=systems,
            conditions=conditions(recipe.measure) if recipe.measure and systems else "",
            comparison=Comparison(baseline="before", candidate="after", result=changed),
        ).model_copy(update={"data": DataReport(splits=draft.data)})
        bundle = publish(staging, draft, content=content, judgement=judgement, test=corpus.test)
        mirrors.end(bundle)
    shutil.rmtree(corpus.states, ignore_errors=True)
    return Pretrained(bundle, before, judgement, systems, trained.seconds, trained.tokens)


def _draft(recipe: PretrainRecipe, corpus: Corpus) -> ManifestDraft:
    parents: tuple[Parent, ...] = ()
    if recipe.model is not None:
        parents = (Parent(kind="checkpoint", name=corpus.start.source, digest=corpus.start.digest),)
    held = {"train": corpus.train, "test": corpus.test.record}
    if corpus.validation:
        held["validation"] = corpus.validation.record
    return ManifestDraft(
        task=recipe.task,
        text=TextLimits(
            max_tokens=recipe.text.max_tokens,
            pad_id=corpus.start.pad_id,
            stride=recipe.text.overlap if flow_of(recipe.task).windowed else 0,
        ),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe_digest(recipe),
        parents=parents,
        data=held,
        machine=describe_machine(),
    )


def _measured(
    directory: Path, draft: ManifestDraft, corpus: Corpus, *, recipe: MeasureRecipe, progress: Progress
) -> list[Speed]:
    texts, tokens = trial_texts(corpus.test, flow_of(draft.task))
    with trial_server([(directory, draft)], model="trial") as url:
        system = served("Penjing fp32", url, "/v1/models/trial/versions/1:predict", clients=recipe.clients)
        return measure([system], texts, tokens, recipe=recipe, progress=progress)


def before_and_after(done: Pretrained) -> tuple[Measurement, Measurement]:
    """Perplexity on the held-out text before and after training."""
    return done.before.result.metrics["perplexity"], done.judgement.result.metrics["perplexity"]
