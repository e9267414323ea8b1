"""``penjing export``: a version or a checkpoint in the form of another engine, with proof."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from penjing.app.evidence import report_content
from penjing.app.judging import compare, judge_files
from penjing.app.publishing import export_fp32, publish
from penjing.app.quantize import answers_of, origin_of, prepare_for
from penjing.app.recipes import ExportRecipe
from penjing.app.tasks import flow_of
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.evaluate import Comparison
from penjing.export.probes import random_probes
from penjing.models.checkpoint import copy_checkpoint, find_checkpoint
from penjing.models.tasks import task_of
from penjing.store import Bundle, Parent, Store, parse_reference


def export(model: str, *, store: Path, engine: ExportRecipe | None = None, progress: Progress = SILENT) -> Bundle:
    """Publish a new version of ``model`` that another engine runs.

    Args:
        model: reference of a version that holds a checkpoint.
        store: where it lies.
        engine: which engine.
        progress: where to show it.

    Raises:
        UsageError: the version holds no checkpoint.
        ExportError, ParityError: nothing is registered.
    """
    home, recipe = Store(store), engine or ExportRecipe()
    parent = home.bundle(*parse_reference(model))
    if not (parent.path / "checkpoint" / "model.safetensors").exists():
        raise UsageError(
            f"{parent.reference} holds no checkpoint",
            expected="a fine-tuned version",
            do="Name the version it came from.",
        )
    data = prepare_for(parent, progress)
    with home.stage(parent.manifest.model) as staging:
        shutil.copytree(parent.path / "checkpoint", staging.path / "checkpoint")
        spec, difference = export_fp32(staging.path, recipe, probes=data.test.sequences[:16])
        draft = parent.manifest.draft().model_copy(
            update={
                "engine": spec,
                "parents": (Parent(kind="version", name=parent.reference, digest=parent.digest),),
                "recipe": recipe.model_dump(mode="json") | {"origin": origin_of(parent)},
                "recipe_digest": recipe_digest(recipe),
                "speed": {},
                "machine": describe_machine(),
            }
        )
        judgement = judge_files(staging.path, draft, data.test, name=f"Judging {spec.name}", progress=progress)
        changed = compare(draft, answers_of(parent, data.test, progress), judgement.predictions, data.test)
        draft = draft.model_copy(update={"metrics": judgement.result.metrics | {"export_difference": difference}})
        content = report_content(
            draft,
            model=parent.manifest.model,
            recipe=recipe,
            quality=judgement.result,
            metric=flow_of(draft.task).metric,
            data=data,
            comparison=Comparison(baseline=parent.reference, candidate=spec.name, result=changed),
        )
        return publish(staging, draft, content=content, judgement=judgement, test=data.test)


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
    if task_of(checkpoint.config) is None:
        raise CheckpointError(
            f"{source} has no head of a task",
            expected="a fine-tuned checkpoint",
            do="Fine-tune it first: penjing finetune.",
        )
    probes = random_probes(
        vocabulary=int(checkpoint.config.get("vocab_size", 1000)), max_tokens=min(128, checkpoint.max_tokens)
    )
    with tempfile.TemporaryDirectory(dir=_parent_of(target)) as scratch:
        draft = Path(scratch) / "export"
        copy_checkpoint(checkpoint, draft / "checkpoint")
        _, difference = export_fp32(draft, engine or ExportRecipe(), probes=probes)
        draft.rename(target)
    return difference


def _parent_of(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{target.parent} is no directory and cannot be made one: {error.strerror}",
            expected="a place for a new directory",
        ) from error
    return target.parent
