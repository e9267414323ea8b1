"""From a new checkpoint to a version: export with proof, judge, compare, measure, publish. Shared by all that train."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from penjing.app.comparing import answers_of, costs, pass_gate
from penjing.app.evidence import conditions, learning_curve, report_content, system_rows
from penjing.app.judging import compare, judge_files, tune_files
from penjing.app.measure import Speed, measure, served, trial_server, trial_texts
from penjing.app.prepared import Part, PreparedData
from penjing.app.publishing import export_fp32, publish, served_bytes
from penjing.app.recipes import ExportRecipe, MeasureRecipe
from penjing.app.tasks import Judgement, flow_of
from penjing.core.progress import Progress
from penjing.evaluate import Change, Comparison, SystemRow, Verdict
from penjing.store import Bundle, ManifestDraft, Staging, Store

_PROBES = 16


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a new version is compared with.

    Attributes:
        bundle: the version.
        test: the test split, as this version's tokenizer reads it.
        home: where a refusal is noted.
        max_drop: of the metric that may be lost; None asks for no gate.
        form: what the new version is, in a word or two.
    """

    bundle: Bundle
    test: Part
    home: Store
    max_drop: float | None
    form: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of it.

    Attributes:
        bundle: the new version.
        judgement: its scores on the test split.
        systems: the speed table, the baseline first; empty where it was not measured.
        change: against the baseline; None without one.
    """

    bundle: Bundle
    judgement: Judgement
    systems: tuple[SystemRow, ...]
    change: Change | None


def finish(
    staging: Staging,
    draft: ManifestDraft,
    data: PreparedData,
    *,
    name: str,
    recipe: BaseModel,
    export: ExportRecipe,
    measured: MeasureRecipe | None,
    history: Sequence[Mapping[str, float]],
    baseline: Baseline | None = None,
    hold: Callable[[Path], tuple[str, ...]] = lambda _: (),
    progress: Progress,
) -> Finished:
    """Make a version of the checkpoint that lies in ``staging``.

    Args:
        staging: holds ``checkpoint``.
        draft: all that is known already; engine, settings of decoding, metrics and speed are added.
        data: its test split judges, its validation split, where there is one, sets the decoding.
        name: of the model.
        recipe: for the report and ``recipe.yaml``.
        export: which engine.
        measured: how speed is measured; None skips it.
        history: the training loop's records.
        baseline: what it is compared with.
        hold: brings the checkpoint, once it is exported, into the form in which the version keeps it; what to note.
        progress: where to show it.

    Raises:
        ExportError, ParityError, GateRefusal: nothing is registered.
    """
    progress.say("Exporting, and comparing the export with Transformers …")
    spec, difference = export_fp32(staging.path, export, probes=data.test.sequences[:_PROBES])
    known = {
        "engine": spec,
        "metrics": draft.metrics | {"export_difference": difference},
        "notes": (*draft.notes, *hold(staging.path / "checkpoint")),
    }
    draft = tune_files(staging.path, draft.model_copy(update=known), data.validation)
    judgement = judge_files(staging.path, draft, data.test, name="Judging fp32", progress=progress)
    draft = draft.model_copy(update={"metrics": draft.metrics | judgement.result.metrics})
    change, verdict = _compared(draft, judgement, data.test, baseline, progress)
    if change:
        draft = draft.model_copy(update={"metrics": draft.metrics | costs(change)})
    systems: tuple[SystemRow, ...] = ()
    if measured:
        systems, speeds = _measured(
            staging, draft, data, judgement, recipe=measured, baseline=baseline, progress=progress
        )
        gain = {"speedup": speeds[-1].ratio_to(speeds[0])} if baseline else {}
        draft = draft.model_copy(update={"speed": speeds[-1].summary() | gain})
    content = report_content(
        draft,
        model=name,
        recipe=recipe,
        quality=judgement.result,
        metric=judgement.metric,
        data=data,
        learning=learning_curve(history) if history else None,
        systems=systems,
        conditions=conditions(measured) if measured else "",
        comparison=Comparison(baseline=baseline.bundle.reference, candidate=baseline.form, result=change)
        if baseline and change
        else None,
        verdict=verdict,
    )
    return Finished(
        publish(staging, draft, content=content, judgement=judgement, test=data.test), judgement, systems, change
    )


def _compared(
    draft: ManifestDraft, judgement: Judgement, test: Part, baseline: Baseline | None, progress: Progress
) -> tuple[Change | None, Verdict | None]:
    if baseline is None:
        return None, None
    before: np.ndarray = answers_of(baseline.bundle, baseline.test, progress)
    change = compare(draft, before, judgement.predictions, test)
    verdict = pass_gate(baseline.max_drop, change, home=baseline.home, parent=baseline.bundle, form=baseline.form)
    return change, verdict


def _measured(
    staging: Staging,
    draft: ManifestDraft,
    data: PreparedData,
    judgement: Judgement,
    *,
    recipe: MeasureRecipe,
    baseline: Baseline | None,
    progress: Progress,
) -> tuple[tuple[SystemRow, ...], list[Speed]]:
    """The speed table, and what it was made from; the new version comes last."""
    texts, tokens = trial_texts(data.test, flow_of(draft.task, draft.problem_type))
    candidates, names = [(staging.path, draft)], ["Penjing fp32"]
    quality, sizes = [judgement.result.metrics.get(judgement.metric)], [served_bytes(staging.path, draft)]
    if baseline:
        before = baseline.bundle.manifest
        candidates.insert(0, (baseline.bundle.path, before.draft()))
        names = [baseline.bundle.reference, baseline.form]
        quality.insert(0, before.metrics.get(judgement.metric))
        sizes.insert(0, before.engine_bytes)
    with trial_server(candidates, model="trial") as url:
        paths = [f"/v1/models/trial/versions/{version}:predict" for version in range(1, len(candidates) + 1)]
        systems = [served(name, url, path, clients=recipe.clients) for name, path in zip(names, paths, strict=True)]
        speeds = measure(systems, texts, tokens, recipe=recipe, progress=progress)
    return system_rows(speeds, quality, sizes), speeds
