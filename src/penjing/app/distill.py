"""``penjing distill``: teachers and data in, a smaller student out, measured and compared with its first teacher.

The teachers answer the training texts once, through their engines; what they said is kept beside the store. The
student is trained by the loop that fine-tunes, with another loss (:mod:`penjing.train.distillation`).
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penjing.app.distill_writing import Lessons as WriterLessons
from penjing.app.distill_writing import distill_writer, refuse_unlike_writers, rewritten
from penjing.app.finishing import Baseline, Finished, finish
from penjing.app.holding import holder
from penjing.app.mirrors.base import Run
from penjing.app.mirrors.mirrored import check_mirrors, mirrored
from penjing.app.mirrors.recipe import run_digest
from penjing.app.origin import origin_recipe
from penjing.app.prepared import Part, PreparedData
from penjing.app.recipes import FinetuneRecipe, TextRecipe
from penjing.app.smaller_recipes import DistillCommand
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.app.teachers import OUTPUTS, Teacher, find_teachers, mean_outputs
from penjing.core.errors import DataError, UsageError
from penjing.core.files import digest
from penjing.core.machine import describe_machine
from penjing.core.nouns import Task, Translation
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import check_recipe, recipe_digest
from penjing.data import DataRecipe, read_texts
from penjing.data.overlap import text_key
from penjing.models.checkpoint import Checkpoint, find_checkpoint, inspect_checkpoint
from penjing.models.tasks import WRITING_TASKS
from penjing.store import ManifestDraft, Parent, Store, TextLimits
from penjing.tasks.text_classification import texts_of
from penjing.tokens import Encoding, Text, TextEncoder

_STATIC_RATE = 5e-4


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Attributes:
        ended: the new version, its scores, its speed beside the first teacher's, and the change against it.
        seconds: of training alone.
        unlabelled: texts without labels it learned from.
    """

    ended: Finished
    seconds: float
    unlabelled: int


def distill(command: DistillCommand, *, store: Path, progress: Progress = SILENT) -> Distilled:
    """Ask the teachers, train the student, compare the two, publish.

    Killed at any point and called again with the same recipe, it goes on from its last state.

    Raises:
        UsageError: teachers, student and terms of the loss that do not go together.
        DataError: labels that differ, among others.
        GateRefusal: more quality would be lost than ``max_drop`` allows; nothing is registered.
    """
    check_mirrors(command.mirrors)
    home = Store(store)
    with tempfile.TemporaryDirectory() as scratch:
        teachers = find_teachers(command.teachers, home=home, scratch=Path(scratch) / "store", progress=progress)
        student = _start(command, teachers, Path(scratch) / "static", progress)
        return _teach(command, teachers, student, home=home, progress=progress)


def _start(command: DistillCommand, teachers: list[Teacher], scratch: Path, progress: Progress) -> Checkpoint:
    """What the student starts from; a static one is written into ``scratch``."""
    if not command.is_static:
        return find_checkpoint(command.student) if command.student else teachers[0].checkpoint
    first = teachers[0].bundle.manifest
    if first.task is not Task.TEXT_CLASSIFICATION:
        raise UsageError(f"a static student for {first.task.value}", expected="text-classification")
    if command.training.learning_rate < _STATIC_RATE:
        progress.say(
            f"  ! training.learning_rate is {command.training.learning_rate:g}: a static student has no layers that a "
            "large one would spoil, and learns little below 0.001"
        )
    from penjing.models.static import write_static_checkpoint  # only now: it loads torch

    write_static_checkpoint(
        teachers[0].checkpoint,
        scratch,
        labels=first.labels,
        width=command.static_width,
        seed=command.seed,
        progress=progress,
    )
    return inspect_checkpoint(scratch, source="static")


def _teach(
    command: DistillCommand, teachers: list[Teacher], checkpoint: Checkpoint, *, home: Store, progress: Progress
) -> Distilled:
    first = teachers[0].bundle.manifest
    origin = _origin(command, teachers[0], checkpoint)
    if first.task in WRITING_TASKS:
        return _teach_writer(command, teachers, checkpoint, origin=origin, home=home, progress=progress)
    text = TextSettings(checkpoint.tokenizer, origin.text.max_tokens, origin.text.overlap)
    _refuse_other_tokens(command, teachers, text)
    data = prepare(origin.data, flow_of(first.task), text, seed=origin.seed, progress=progress, outputs=first.labels)
    more = _unlabelled(command, data, first.task, progress)
    states = _run_directory(command, teachers, data, checkpoint, home=home)
    mean = partial(mean_outputs, teachers, labels=data.outputs, cache=home.root / OUTPUTS, progress=progress)
    taught = mean(_asked(teachers, data.train, more, text=text))
    held_out = mean(_asked(teachers, data.validation, [], text=text)) if data.validation else []
    run = Run(command.name, states.name, command)
    with home.stage(command.name) as staging, mirrored(command.mirrors, run, progress) as mirrors:
        from penjing.app.studying import Lessons, train_student  # only now: it loads torch

        inside = teachers[0].checkpoint if command.distill.looks_inside else None
        trained = train_student(
            command,
            checkpoint,
            first.task,
            lessons=Lessons(data, _encoded(text, more), taught, held_out, inside),
            states=states,
            target=staging.path / "checkpoint",
            on_step=mirrors.step,
            progress=progress,
        )
        baseline = Baseline(
            teachers[0].bundle, teachers[0].part(data.test, like=text), home, command.max_drop, form="student"
        )
        ended = finish(
            staging,
            _draft(command, origin, checkpoint, teachers=teachers, data=data, notes=trained.remarks(command.training)),
            data,
            name=command.name,
            recipe=command,
            export=command.export,
            measured=command.measure,
            history=trained.history,
            baseline=baseline,
            hold=holder(sparse=command.checkpoint == "sparse"),
            progress=progress,
        )
        mirrors.end(ended.bundle)
    shutil.rmtree(states, ignore_errors=True)
    return Distilled(ended, trained.seconds, len(more))


def _teach_writer(
    command: DistillCommand,
    teachers: list[Teacher],
    checkpoint: Checkpoint,
    *,
    origin: FinetuneRecipe,
    home: Store,
    progress: Progress,
) -> Distilled:
    refuse_unlike_writers(command, teachers[0], checkpoint)
    limits, how = origin.text, teachers[0].bundle.manifest.translation
    text = TextSettings(
        checkpoint.tokenizer, limits.max_tokens, limits.overlap, translation=how, start=checkpoint.start_id
    )
    data = prepare(origin.data, flow_of(origin.task), text, seed=origin.seed, progress=progress)
    if command.sequence:
        data = rewritten(command, data, teachers[0], text=text, home=home, progress=progress)
    states = _run_directory(command, teachers, data, checkpoint, home=home)
    draft = _draft(command, origin, checkpoint, teachers=teachers, data=data, notes=[])
    lessons = WriterLessons(origin, draft.model_copy(update={"translation": how}), data, states)
    ended, seconds = distill_writer(command, teachers[0], checkpoint, lessons=lessons, home=home, progress=progress)
    return Distilled(ended, seconds, 0)


def _origin(command: DistillCommand, first: Teacher, checkpoint: Checkpoint) -> FinetuneRecipe:
    """The fine-tuning that would have made the student without a teacher: later steps find its data by it."""
    text, behind = first.bundle.manifest.text, None
    if command.data is None:
        behind = origin_recipe(first.bundle)
    max_tokens = command.max_tokens or text.max_tokens
    if max_tokens > checkpoint.max_tokens:
        raise UsageError(
            f"{max_tokens} tokens a text",
            expected=f"at most {checkpoint.max_tokens}, the positions of {checkpoint.source}",
        )
    values = {
        "name": command.name,
        "task": first.bundle.manifest.task,
        "model": command.student or command.teachers[0],
        "data": command.data or (behind.data if behind else None),
        "translation": first.bundle.manifest.translation or Translation(),
        "text": TextRecipe(max_tokens=max_tokens, stride=min(text.stride, max_tokens // 2) or None),
        "training": command.training,
        "export": command.export,
        "measure": command.measure,
        "seed": behind.seed if behind else command.seed,
    }
    return check_recipe(FinetuneRecipe, values, origin="the recipe")


def _refuse_other_tokens(command: DistillCommand, teachers: list[Teacher], text: TextSettings) -> None:
    """Refuse what must see the same tokens on both sides, and would not."""
    first = teachers[0].bundle.manifest
    by_token = first.task is not Task.TEXT_CLASSIFICATION or command.distill.looks_inside
    for one in teachers if by_token else ():
        if not one.reads_like(text):
            raise UsageError(
                f"{one.named} and the student cut texts into different tokens",
                expected="one tokenizer and one max_tokens, for a task or a term that goes token by token",
                do="Take a student of the same tokenizer; of text classification, terms of the outputs.",
            )
    if command.unlabelled and first.task is not Task.TEXT_CLASSIFICATION:
        raise UsageError(f"unlabelled texts for {first.task.value}", expected="text-classification")
    if command.distill.looks_inside and len(teachers) > 1:
        raise UsageError("several teachers and terms that look inside", expected="one teacher, or terms of the outputs")


def _unlabelled(command: DistillCommand, data: PreparedData, task: Task, progress: Progress) -> list[Text]:
    """More texts to learn from: no blank ones, none twice, and none of what judges the student."""
    if command.unlabelled is None:
        return []
    columns = (command.data or DataRecipe(train=command.unlabelled)).model_copy(update={"train": command.unlabelled})
    seen = {text_key(one.texts) for part in data.parts.values() for one in part.split.examples}
    found, read = [], 0
    for example in read_texts(command.unlabelled, columns, task=task):
        read += 1
        key = text_key(example.texts)
        if any(one.strip() for one in example.texts) and key not in seen:
            seen.add(key)
            found.append(example)
    if not found:
        raise DataError(
            f"{command.unlabelled} holds no new text", expected="texts that no split has", do="Leave --unlabelled out."
        )
    progress.say(f"{len(found):,} texts without labels ({read - len(found):,} left out: blank, repeated or in a split)")
    return texts_of(found)


def _asked(teachers: list[Teacher], part: Part, more: list[Text], *, text: TextSettings) -> list[list[Encoding]]:
    """The sequences of a split, and after them those of more texts, as each teacher reads them."""
    return [[*one.part(part, like=text).sequences, *_encoded(one.text, more)] for one in teachers]


def _encoded(settings: TextSettings, texts: list[Text]) -> list[Encoding]:
    return TextEncoder(settings.tokenizer, max_tokens=settings.max_tokens).encode(texts) if texts else []


def _run_directory(
    command: DistillCommand, teachers: list[Teacher], data: PreparedData, checkpoint: Checkpoint, *, home: Store
) -> Path:
    """Where this run, and only this run, keeps its states: named by all that defines it."""
    defined = {
        "recipe": run_digest(command),
        "data": data.train.split.sha256,
        "checkpoint": checkpoint.digest,
        "teachers": [one.identity for one in teachers],
    }
    return home.root / ".runs" / digest(defined)[:16]


def _draft(
    command: DistillCommand,
    origin: FinetuneRecipe,
    checkpoint: Checkpoint,
    *,
    teachers: list[Teacher],
    data: PreparedData,
    notes: list[str],
) -> ManifestDraft:
    is_given = command.student is not None and not command.is_static
    starts = [Parent(kind="checkpoint", name=checkpoint.source, digest=checkpoint.digest)] if is_given else []
    flow = flow_of(origin.task)
    return ManifestDraft(
        task=origin.task,
        labels=data.outputs,
        problem_type=origin.problem,
        text=TextLimits(
            max_tokens=origin.text.max_tokens,
            pad_id=checkpoint.pad_id,
            stride=origin.text.overlap if flow.windowed else 0,
        ),
        recipe=command.model_dump(mode="json") | {"origin": origin.model_dump(mode="json")},
        recipe_digest=recipe_digest(command),
        parents=(*(one.parent for one in teachers), *starts),
        decoding=flow.settings_of(data.train),
        data={name: part.record for name, part in data.parts.items()},
        notes=(*data.data.report.remarks(), *notes),
        machine=describe_machine(),
    )
