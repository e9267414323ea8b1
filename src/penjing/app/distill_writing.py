"""``penjing distill`` for models that write: word by word, or by what the teacher writes.

Word by word the student learns the teacher's next-token probabilities on the training texts. With ``sequence`` the
teacher first translates every source, by the search that it is served with, and the student learns these translations:
they are simpler and more alike than people's, and a small model learns them better.

Source: Kim and Rush, "Sequence-Level Knowledge Distillation", arXiv 1606.07947.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from penjing.app.finishing import Baseline, Finished, finish
from penjing.app.holding import holder
from penjing.app.judging import open_drafted
from penjing.app.mirrors.base import Run
from penjing.app.mirrors.mirrored import mirrored
from penjing.app.prepared import PreparedData
from penjing.app.recipes import FinetuneRecipe
from penjing.app.smaller_recipes import DistillCommand
from penjing.app.tasks import TextSettings, flow_of
from penjing.app.tasks.translation import WINDOW, translate
from penjing.app.teachers import OUTPUTS, Teacher
from penjing.core.errors import UsageError
from penjing.core.files import digest, write_atomically
from penjing.core.nouns import Task, Translation
from penjing.core.progress import Progress
from penjing.data import DataRecipe, ParallelExample, read_texts
from penjing.data.examples import make_split
from penjing.models.checkpoint import Checkpoint
from penjing.store import ManifestDraft, Store
from penjing.tasks.translation import Translator


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a student that writes is taught with.

    Attributes:
        origin: the fine-tuning that would have made the student without a teacher.
        draft: what its manifest says already.
        data: what it learns from and is judged on.
        states: where resumable states are kept.
    """

    origin: FinetuneRecipe
    draft: ManifestDraft
    data: PreparedData
    states: Path


def distill_writer(
    command: DistillCommand,
    teacher: Teacher,
    checkpoint: Checkpoint,
    *,
    lessons: Lessons,
    home: Store,
    progress: Progress,
) -> tuple[Finished, float]:
    """Train a student of a teacher that writes, judge and publish it; and the seconds of training."""
    data, states = lessons.data, lessons.states
    run = Run(command.name, states.name, command)
    with home.stage(command.name) as staging, mirrored(command.mirrors, run, progress) as mirrors:
        from penjing.app.studying import train_writer  # only now: it loads torch

        target = staging.path / "checkpoint"
        trained = train_writer(
            command,
            checkpoint,
            teacher.checkpoint,
            data=data,
            states=states,
            target=target,
            on_step=mirrors.step,
            progress=progress,
        )
        notes = (*lessons.draft.notes, *trained.remarks(command.training))
        ended = finish(
            staging,
            lessons.draft.model_copy(update={"notes": notes}),
            data,
            name=command.name,
            recipe=command,
            export=lessons.origin.export,
            measured=None,  # what writing costs hangs on how much is written
            history=trained.history,
            baseline=Baseline(teacher.bundle, data.test, home, command.max_drop, form="student"),
            hold=holder(sparse=command.checkpoint == "sparse"),
            progress=progress,
        )
        mirrors.end(ended.bundle)
    shutil.rmtree(states, ignore_errors=True)
    return ended, trained.seconds


def refuse_unlike_writers(command: DistillCommand, teacher: Teacher, checkpoint: Checkpoint) -> None:
    """Refuse what does not go with a teacher that writes."""
    task, named = teacher.bundle.manifest.task, teacher.named
    if len(command.teachers) > 1 or set(command.distill.terms) != {"kl"} or isinstance(command.layers, tuple):
        raise UsageError(
            f"several teachers, terms other than kl or layers by number for {task.value}",
            expected="one teacher, the term kl, and a number of layers",
        )
    if command.sequence and task is not Task.TRANSLATION:
        raise UsageError(f"sequence for {task.value}", expected="translation, whose texts have one translation each")
    if command.unlabelled and not command.sequence:
        raise UsageError(f"unlabelled texts for {task.value}", expected="translation with sequence: true")
    if checkpoint.tokenizer.read_bytes() != teacher.checkpoint.tokenizer.read_bytes() and command.distill.alpha != 1:
        raise UsageError(
            f"{named} and the student have different tokenizers",
            expected="one vocabulary, to compare what both say of each token",
            do="Take distill.alpha: 1 with sequence: true, which asks for translations alone.",
        )


def rewritten(
    command: DistillCommand,
    data: PreparedData,
    teacher: Teacher,
    *,
    text: TextSettings,
    home: Store,
    progress: Progress,
) -> PreparedData:
    """The data with the teacher's translations in the place of the training split's own, and of more sources."""
    given = list(data.train.split.examples)
    seen = {one.source.strip() for part in data.parts.values() for one in part.split.examples}
    if command.unlabelled:
        recipe = DataRecipe(train=command.unlabelled)
        for one in read_texts(command.unlabelled, recipe, task=Task.TRANSLATION):
            if one.source.strip() and one.source.strip() not in seen:
                seen.add(one.source.strip())
                given.append(one)
    how = teacher.bundle.manifest.translation or Translation()
    asked = {"teacher": teacher.identity, "how": how.model_dump(mode="json"), "texts": [one.source for one in given]}
    cache = home.root / OUTPUTS / f"{digest(asked)[:32]}.jsonl"
    made = list(_written(teacher, given, cache=cache, progress=progress))
    progress.say(
        f"{len(made):,} sources with the teacher's translations ({len(given) - len(made):,} left out: they never ended)"
    )
    split = make_split("train", data.train.split.source, made)
    return replace(data, train=flow_of(Task.TRANSLATION).part(split, text, ()))


def _written(
    teacher: Teacher, given: list[ParallelExample], *, cache: Path, progress: Progress
) -> Iterator[ParallelExample]:
    """Each with what the teacher writes, in their order; those that it did not bring to an end are left out."""
    manifest = teacher.bundle.manifest
    how = manifest.translation or Translation()
    translator = Translator(teacher.text.tokenizer, how, max_tokens=manifest.text.max_tokens)
    done = _read(cache, texts=len(given))
    engine = open_drafted(teacher.bundle.path, manifest)
    try:
        with cache.open("a", encoding="utf-8") as file, progress.stage("Asking the teacher", total=len(given)) as stage:
            for at in range(0, len(given), WINDOW):
                some = given[at : at + WINDOW]
                told = done[at : at + len(some)]
                if not told:
                    found = translate(engine, translator, [one.source for one in some])
                    told = [one.text if one.complete else "" for one in found]
                    file.write("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told))
                    file.flush()
                stage.advance(len(some))
                yield from (replace(one, target=text) for one, text in zip(some, told, strict=True) if text.strip())
    finally:
        engine.close()


def _read(cache: Path, *, texts: int) -> list[str]:
    """What an earlier run wrote, in whole windows; the file is cut to them."""
    lines = cache.read_text(encoding="utf-8").split("\n")[:-1] if cache.exists() else []
    kept = lines if len(lines) == texts else lines[: len(lines) - len(lines) % WINDOW]
    write_atomically(cache, "".join(f"{line}\n" for line in kept).encode())
    return [str(json.loads(line)) for line in kept]
