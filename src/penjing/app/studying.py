"""The step of a distillation that needs torch, in a module of its own: loading torch takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from penjing.app.prepared import Part, PreparedData
from penjing.app.smaller_recipes import DistillCommand
from penjing.app.tasks import flow_of
from penjing.app.training import training_set, within
from penjing.core.nouns import Problem, Task
from penjing.core.progress import Progress
from penjing.models.checkpoint import Checkpoint
from penjing.models.decoder import packed_model
from penjing.models.loading import load_model, save_checkpoint
from penjing.models.packed import PackedEncoder
from penjing.models.shorter import keep_spread_layers
from penjing.models.surgery import keep_layers, layers_of, spread_layers
from penjing.tokens import Encoding
from penjing.train.distillation import Distillation, LayerMatch
from penjing.train.loop import TrainingResult, train
from penjing.train.recipe import resolve_precision
from penjing.train.state import StateDirectory
from penjing.train.step import OnStep, unheard
from penjing.train.training_set import TrainingSet
from penjing.train.writing import WordByWord

NO_LABEL = -100  # what torch's cross-entropy leaves out


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a student is taught with.

    Attributes:
        data: its labelled splits.
        unlabelled: sequences beside the training split's.
        train: the teacher's outputs for the training split, then for the unlabelled sequences.
        validation: for the validation split; empty without one.
        inside: the teacher's weights, where the student matches its layers.
    """

    data: PreparedData
    unlabelled: Sequence[Encoding]
    train: Sequence[npt.NDArray[np.float32]]
    validation: Sequence[npt.NDArray[np.float32]]
    inside: Checkpoint | None


def train_student(
    command: DistillCommand,
    checkpoint: Checkpoint,
    task: Task,
    *,
    lessons: Lessons,
    states: Path,
    target: Path,
    on_step: OnStep = unheard,
    progress: Progress,
) -> TrainingResult:
    """Train a student and write its checkpoint.

    Args:
        command: settings.
        checkpoint: what it starts from.
        task: of the teacher.
        lessons: what it learns.
        states: where resumable states are kept.
        target: where its checkpoint goes.
        on_step: told of each step and its record.
        progress: where to show it.
    """
    torch.manual_seed(command.seed)  # the first weights of a new head
    data, recipe = lessons.data, command.training
    model = load_model(checkpoint, task, data.outputs, problem=_problem_of(task))
    if command.layers is not None:
        keep_layers(model, _kept(command, len(layers_of(model))))
    student = PackedEncoder(model)
    trained = train(
        student,
        _training_set(data.train, lessons.train, lessons.unlabelled),
        _loss(command, task, student, lessons),
        recipe=recipe,
        seed=command.seed,
        validation=_training_set(data.validation, lessons.validation) if data.validation else None,
        states=None if recipe.save_every_s is None else StateDirectory(states, run_id=states.name),
        on_step=on_step,
        progress=progress,
    )
    save_checkpoint(model, checkpoint.path, target)
    return trained


def _problem_of(task: Task) -> Problem | None:
    return Problem.SINGLE_LABEL if task is Task.TEXT_CLASSIFICATION else None


def train_writer(
    command: DistillCommand,
    checkpoint: Checkpoint,
    teacher: Checkpoint,
    *,
    data: PreparedData,
    states: Path,
    target: Path,
    on_step: OnStep = unheard,
    progress: Progress,
) -> TrainingResult:
    """Train a student that writes, word by word, and write its checkpoint.

    Args:
        command: settings.
        checkpoint: what it starts from.
        teacher: run beside the student, unless α is 1.
        data: what it learns from.
        states: where resumable states are kept.
        target: where its checkpoint goes.
        on_step: told of each step and its record.
        progress: where to show it.
    """
    torch.manual_seed(command.seed)
    model, task = load_model(checkpoint), checkpoint.task or Task.TRANSLATION
    if isinstance(command.layers, int):
        keep_spread_layers(model, command.layers)
    student = packed_model(model)
    recipe = within(student, command.training)
    teaching = packed_model(load_model(teacher)) if command.distill.alpha != 1 else None
    hard, precision = flow_of(task).objective(data.train, recipe), resolve_precision(recipe.precision)
    trained = train(
        student,
        training_set(data.train),
        WordByWord(hard, command.distill, teaching, precision=precision),
        recipe=recipe,
        seed=command.seed,
        validation=training_set(data.validation) if data.validation else None,
        states=None if recipe.save_every_s is None else StateDirectory(states, run_id=states.name),
        on_step=on_step,
        progress=progress,
    )
    save_checkpoint(model, checkpoint.path, target)
    return trained


def _kept(command: DistillCommand, layers: int) -> tuple[int, ...]:
    """Which layers stay, counted from 0."""
    if isinstance(command.layers, int):
        return spread_layers(command.layers, of=layers)
    return tuple(at - 1 for at in command.layers or ())


def _loss(command: DistillCommand, task: Task, student: PackedEncoder, lessons: Lessons) -> Distillation:
    flow, recipe, inside = flow_of(task), command.distill, None
    if lessons.inside:
        teacher = PackedEncoder(load_model(lessons.inside))
        precision = resolve_precision(command.training.precision)
        inside = LayerMatch(recipe, teacher, student, precision=precision)
    return Distillation(
        flow.objective(lessons.data.train, command.training),
        recipe,
        over="tokens" if task is Task.QUESTION_ANSWERING else "outputs",
        inside=inside,
    )


def _training_set(part: Part, teacher: Sequence[npt.NDArray[np.float32]], more: Sequence[Encoding] = ()) -> TrainingSet:
    sequences, targets = list(part.sequences), part.targets
    if more:
        sequences += more
        targets = np.concatenate([np.asarray(targets), np.full(len(more), NO_LABEL, np.int64)])
    return TrainingSet(sequences, targets, part.weights, teacher=teacher)
