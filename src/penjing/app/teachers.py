"""The teachers of a distillation: versions of the store, or checkpoints made into versions for the while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.app.holding import whole_checkpoint
from penjing.app.importing import publish_checkpoint
from penjing.app.judging import open_drafted
from penjing.app.prepared import Part
from penjing.app.recipes import PublishRecipe
from penjing.app.tasks import TextSettings, flow_of
from penjing.compress.teacher_outputs import teacher_outputs
from penjing.core.errors import DataError, NotFoundError, UsageError
from penjing.core.files import digest
from penjing.core.nouns import Problem, Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.tasks import WRITING_TASKS
from penjing.store import Bundle, Parent, Store, parse_reference
from penjing.tokens import Encoding

OUTPUTS = ".teacher-outputs"  # folder of the store: what teachers said, kept for the next student
TAUGHT = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING, *WRITING_TASKS)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher.

    Attributes:
        bundle: what answers.
        named: what the user called it.
    """

    bundle: Bundle
    named: str

    @property
    def identity(self) -> str:
        """Digest of all that its outputs hang on."""
        manifest = self.bundle.manifest
        files = {name: record.sha256 for name, record in manifest.files.items() if name.startswith("engine/")}
        return digest({"files": files, "task": manifest.task.value})

    @property
    def parent(self) -> Parent:
        """How a student's manifest names it."""
        manifest = self.bundle.manifest
        is_version = self.named == self.bundle.reference
        return Parent(kind="version", name=self.named, digest=self.bundle.digest) if is_version else manifest.parents[0]

    @property
    def checkpoint(self) -> Checkpoint:
        """Its weights.

        Raises:
            UsageError: it has none, as int8 forms have not.
        """
        return find_checkpoint(str(whole_checkpoint(self.bundle)))

    @property
    def text(self) -> TextSettings:
        """How it reads texts."""
        text = self.bundle.manifest.text
        return TextSettings(self.bundle.file(text.tokenizer), text.max_tokens, text.stride)

    def reads_like(self, other: TextSettings) -> bool:
        """Whether it makes the same tokens of every text."""
        mine, windowed = self.text, flow_of(self.bundle.manifest.task).windowed
        alike = mine.max_tokens == other.max_tokens and (mine.stride == other.stride or not windowed)
        return alike and mine.tokenizer.read_bytes() == other.tokenizer.read_bytes()

    def part(self, part: Part, *, like: TextSettings) -> Part:
        """A split as this teacher reads it; the same where ``like``, who reads it already, reads alike."""
        if self.reads_like(like):
            return part
        return flow_of(self.bundle.manifest.task).part(part.split, self.text, self.bundle.manifest.labels)


def find_teachers(names: Sequence[str], *, home: Store, scratch: Path, progress: Progress) -> list[Teacher]:
    """Versions by their reference; checkpoints exported into the throw-away store ``scratch``.

    Raises:
        UsageError: teachers of different tasks, or of one that is not taught.
        DataError: teachers of different labels.
    """
    found = [_find(name, home=home, scratch=scratch, progress=progress) for name in names]
    first = found[0].bundle.manifest
    if first.problem_type not in (None, Problem.SINGLE_LABEL):
        raise UsageError(f"{names[0]} answers with {first.problem_type}", expected="one label a text")
    if first.task not in TAUGHT:
        raise UsageError(f"{names[0]} is for {first.task.value}", expected=f"one of {', '.join(TAUGHT)}")
    for one in found[1:]:
        manifest = one.bundle.manifest
        if manifest.task is not first.task:
            raise UsageError(f"{one.named} is for {manifest.task.value}", expected=f"{first.task.value}, as {names[0]}")
        if strange := sorted(set(manifest.labels) ^ set(first.labels)):
            raise DataError(
                f"the labels of {one.named} and {names[0]} differ: {', '.join(map(repr, strange[:5]))}",
                expected="teachers of the same labels",
            )
    return found


def _find(name: str, *, home: Store, scratch: Path, progress: Progress) -> Teacher:
    if not Path(name).exists():
        try:
            bundle = home.bundle(*parse_reference(name))
            return Teacher(bundle, bundle.reference)
        except (NotFoundError, UsageError) as absent:
            if "/" not in name or isinstance(absent, NotFoundError):
                raise
    bundle = publish_checkpoint(PublishRecipe(name="teacher", model=name), store=scratch, progress=progress)
    return Teacher(bundle, name)


def mean_outputs(
    teachers: Sequence[Teacher],
    parts: Sequence[Sequence[Encoding]],
    *,
    labels: Sequence[str],
    cache: Path,
    progress: Progress,
) -> list[Floats]:
    """The mean of the teachers' outputs for every sequence, outputs in the order of ``labels``.

    Args:
        teachers: at least one.
        parts: the sequences as each teacher reads them.
        labels: the student's outputs.
        cache: where outputs are kept.
        progress: where to show it.
    """
    total: list[Floats] = []
    for teacher, sequences in zip(teachers, parts, strict=True):
        manifest = teacher.bundle.manifest
        engine = open_drafted(teacher.bundle.path, manifest)
        try:
            given = teacher_outputs(
                engine,
                sequences,
                teacher=teacher.identity,
                cache=cache,
                reads=flow_of(manifest.task).reads,
                progress=progress,
            )
        finally:
            engine.close()
        order = [manifest.labels.index(label) for label in labels] if labels else slice(None)
        given = [one[:, order] for one in given]
        total = [a + b for a, b in zip(total, given, strict=True)] if total else given
    return [one / np.float32(len(teachers)) for one in total]
