"""``penjing export``: a version or a checkpoint in the form of another engine, with proof."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from penjing.app.comparing import answers_of
from penjing.app.evidence import report_content
from penjing.app.holding import hold_as, whole_checkpoint
from penjing.app.importing import copy_ready, longest_of, probes_for, publish_checkpoint, task_for
from penjing.app.judging import compare, judge_files
from penjing.app.origin import origin_of, prepare_for
from penjing.app.publishing import export_fp32, publish
from penjing.app.recipes import ExportCommand, ExportRecipe, PublishRecipe
from penjing.core.errors import UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Measurement, Translation
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import check_recipe, recipe_digest
from penjing.evaluate import Comparison
from penjing.models.checkpoint import find_checkpoint
from penjing.store import Bundle, EngineSpec, ManifestDraft, Parent, Store, parse_reference


def export(
    model: str,
    *,
    store: Path,
    engine: ExportRecipe | None = None,
    name: str | None = None,
    task: str | None = None,
    max_tokens: int | None = None,
    base: str | None = None,
    translation: Translation | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """Publish a new version of ``model`` that another engine runs, or under ``name`` a checkpoint as it is.

    Args:
        model: reference of a version that holds a checkpoint; with ``name`` a checkpoint.
        store: where it lies, or goes.
        engine: which engine.
        name: see :class:`PublishRecipe`, as of the other two.
        task: what the checkpoint is for.
        max_tokens: of a sequence.
        base: where the base of a version lies that holds a delta; None is where it lay when it was trained.
        translation: languages and search of a translation model; None is what ``engine`` says of them.
        progress: where to show it.

    Raises:
        UsageError: the version holds no checkpoint.
        CheckpointError: a checkpoint that is ready for nothing.
        ExportError, ParityError: nothing is registered.
    """
    if name is not None:
        told: dict[str, object] = {"name": name, "model": model, "task": task, "max_tokens": max_tokens}
        translation = translation or (engine.translation if isinstance(engine, ExportCommand) else Translation())
        told["translation"] = translation.model_dump()
        whole = told | {"export": {"engine": (engine or ExportRecipe()).engine}}
        recipe = check_recipe(PublishRecipe, whole, origin="the call")
        return publish_checkpoint(recipe, store=store, progress=progress)
    return _export_version(model, store=store, engine=engine, base=base, progress=progress)


def _export_version(
    model: str, *, store: Path, engine: ExportRecipe | None, base: str | None, progress: Progress
) -> Bundle:
    home, recipe = Store(store), engine or ExportRecipe()
    parent = home.bundle(*parse_reference(model))
    whole = whole_checkpoint(parent, base=base)
    data = prepare_for(parent, progress)
    with home.stage(parent.manifest.model) as staging:
        shutil.copytree(whole, staging.path / "checkpoint")
        spec, difference = export_fp32(staging.path, recipe, probes=data.test.sequences[:16])
        hold_as(parent, staging.path / "checkpoint")
        draft = _draft(parent, spec, recipe)
        judgement = judge_files(staging.path, draft, data.test, name=f"Judging {spec.name}", progress=progress)
        changed = compare(draft, answers_of(parent, data.test, progress), judgement.predictions, data.test)
        draft = draft.model_copy(update={"metrics": judgement.result.metrics | {"export_difference": difference}})
        content = report_content(
            draft,
            model=parent.manifest.model,
            recipe=recipe,
            quality=judgement.result,
            metric=judgement.metric,
            data=data,
            comparison=Comparison(baseline=parent.reference, candidate=spec.name, result=changed),
        )
        return publish(staging, draft, content=content, judgement=judgement, test=data.test)


def _draft(parent: Bundle, spec: EngineSpec, recipe: ExportRecipe) -> ManifestDraft:
    changed = {
        "engine": spec,
        "parents": (Parent(kind="version", name=parent.reference, digest=parent.digest),),
        "recipe": recipe.model_dump(mode="json") | {"origin": origin_of(parent)},
        "recipe_digest": recipe_digest(recipe),
        "speed": {},
        "machine": describe_machine(),
    }
    return parent.manifest.draft().model_copy(update=changed)


def export_checkpoint(source: str, target: Path, *, engine: ExportRecipe | None = None) -> Measurement:
    """Write ``target/engine`` from any supported checkpoint, outside a store.

    Returns:
        the largest difference from Transformers, as a share of the outputs' scale.

    Raises:
        UsageError: ``target`` exists.
        CheckpointError, ExportError, ParityError: nothing is written.
    """
    if target.exists():
        raise UsageError(f"{target} exists", expected="a new directory", do="Choose another name or remove it.")
    checkpoint = find_checkpoint(source)
    task, longest = task_for(checkpoint), longest_of(checkpoint)
    with tempfile.TemporaryDirectory(dir=parent_of(target)) as scratch:
        draft = Path(scratch) / "export"
        copy_ready(checkpoint, draft / "checkpoint", task, longest=longest)
        probes = probes_for(checkpoint, longest)
        _, difference = export_fp32(draft, engine or ExportRecipe(), probes=probes)
        draft.rename(target)
    return difference


def parent_of(target: Path) -> Path:
    """The directory of what is to be written, made if it is not there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{target.parent} is no directory and cannot be made one: {error.strerror}",
            expected="a place for a new directory",
        ) from error
    return target.parent
