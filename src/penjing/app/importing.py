"""A checkpoint that is ready as it came, published as a version: ``penjing export MODEL --name NAME``.

Promise: the version carries the proof that its engine answers as Transformers does. What it is good for on
whose texts is not known here; ``penjing evaluate`` says so.
"""

from __future__ import annotations

from pathlib import Path

from penjing.app.evidence import report_content
from penjing.app.publishing import export_fp32, publish
from penjing.app.recipes import PublishRecipe
from penjing.app.tasks import flow_of
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Embedding, Measurement, Task
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.export.probes import random_probes
from penjing.models.checkpoint import Checkpoint, copy_checkpoint, find_checkpoint
from penjing.models.pooling import MODULES, read_longest, write_embedding
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, EngineSpec, ManifestDraft, Parent, Store, TextLimits
from penjing.tasks.translation import Translator
from penjing.tokens import Encoding

_LONGEST_PROBE = 128


def publish_checkpoint(recipe: PublishRecipe, *, store: Path, progress: Progress = SILENT) -> Bundle:
    """Export a checkpoint with proof and publish it.

    Args:
        recipe: which, as what.
        store: where to.
        progress: where to show it.

    Raises:
        CheckpointError: it has no head for the task, or its answers would not be what it was trained for.
        UsageError: a task that is not served, or more tokens than it has positions for.
        ExportError, ParityError: nothing is registered.
    """
    checkpoint = find_checkpoint(recipe.model)
    task = task_for(checkpoint, recipe.task)
    problem = checkpoint.problem if task is Task.TEXT_CLASSIFICATION else None
    flow, embedding = flow_of(task, problem), checkpoint.embedding if task is Task.FEATURE_EXTRACTION else None
    longest = longest_of(checkpoint, recipe.max_tokens)
    if task is Task.TRANSLATION:
        Translator(checkpoint.tokenizer, recipe.translation, max_tokens=longest)  # refuses languages it does not know
    with Store(store).stage(recipe.name) as staging:
        copy_ready(checkpoint, staging.path / "checkpoint", task, longest=longest)
        progress.say("Exporting, and comparing the export with Transformers …")
        spec, difference = export_fp32(staging.path, recipe.export, probes=probes_for(checkpoint, longest))
        draft = ManifestDraft(
            task=task,
            labels=_outputs(checkpoint, task),
            problem_type=problem,
            embedding=embedding,
            translation=recipe.translation if task is Task.TRANSLATION else None,
            text=TextLimits(max_tokens=longest, pad_id=checkpoint.pad_id, stride=longest // 4 if flow.windowed else 0),
            **_evidence(recipe, checkpoint, embedding, spec=spec, difference=difference),
        )
        return publish(staging, draft, content=report_content(draft, model=recipe.name, recipe=recipe))


def task_for(checkpoint: Checkpoint, wanted: Task | None = None) -> Task:
    """The task that a checkpoint is ready for.

    Raises:
        CheckpointError: it is ready for none, or for another than ``wanted``.
    """
    named = checkpoint.task
    if named in (None, Task.FILL_MASK) and wanted is Task.FEATURE_EXTRACTION:
        return wanted  # an encoder under the head of a pretraining task
    if named is None:
        raise CheckpointError(
            f"{checkpoint.source} has no head of a task",
            expected="a fine-tuned checkpoint",
            do="Fine-tune it first (penjing finetune), or take its encoder: --task feature-extraction.",
        )
    if wanted not in (None, named):
        raise CheckpointError(f"{checkpoint.source} is for {named.value}", expected=f"a checkpoint for {wanted}")
    return named


def copy_ready(checkpoint: Checkpoint, target: Path, task: Task, *, longest: int) -> None:
    """Copy a checkpoint; an encoder's copy says beside it how texts are pooled."""
    copy_checkpoint(checkpoint, target)
    if task is Task.FEATURE_EXTRACTION:
        write_embedding(target, checkpoint.embedding, longest=longest)


def probes_for(checkpoint: Checkpoint, longest: int) -> list[Encoding]:
    """Sequences on which to compare an export of a checkpoint."""
    vocabulary = int(checkpoint.config.get("vocab_size", 1000))
    if checkpoint.task is Task.TRANSLATION:
        vocabulary -= 1  # Marian's last id is for padding, and its engine lacks it
    return random_probes(vocabulary=vocabulary, max_tokens=min(_LONGEST_PROBE, longest))


def longest_of(checkpoint: Checkpoint, wanted: int | None = None) -> int:
    """Tokens to which a checkpoint's texts are cut: as wanted, or as it says itself, or all it has positions for.

    Raises:
        UsageError: more than that.
    """
    most = checkpoint.max_tokens
    if wanted is not None and wanted > most:
        raise UsageError(f"max_tokens is {wanted}", expected=f"at most {most}, the positions of {checkpoint.source}")
    return wanted or min(read_longest(checkpoint.path) or most, most)


def _outputs(checkpoint: Checkpoint, task: Task) -> tuple[str, ...]:
    if task in (Task.FEATURE_EXTRACTION, Task.FILL_MASK, Task.QUESTION_ANSWERING, *WRITING_TASKS):
        return flow_of(task).outputs_for(())
    return _labels(checkpoint)


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    named = checkpoint.config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # Transformers' own default
    try:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.source} has id2label {named!r:.80}", expected="number → label") from error


def _evidence(
    recipe: PublishRecipe,
    checkpoint: Checkpoint,
    embedding: Embedding | None,
    *,
    spec: EngineSpec,
    difference: Measurement,
) -> dict[str, object]:
    notes = ["Published as it came; its quality was not measured."]
    if embedding and not (checkpoint.path / MODULES).is_file():
        notes.append(
            "The checkpoint does not say how texts are pooled: the mean of their tokens is taken, and normalised."
        )
    return {
        "engine": spec,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_digest": recipe_digest(recipe),
        "parents": (Parent(kind="checkpoint", name=checkpoint.source, digest=checkpoint.digest),),
        "metrics": {"export_difference": difference},
        "notes": tuple(notes),
        "machine": describe_machine(),
    }
