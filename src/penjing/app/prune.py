"""``penjing prune``: a version in, a smaller one out, compared with it text by text.

What is cut must leave an ordinary checkpoint: whole layers, equally many neurons of each and rows of the embedding
table go (docs/decisions/0016); single heads become zeros, which the export leaves out (docs/decisions/0017). A pruned
version is trained again with ``penjing distill --student``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penjing.app.finishing import Baseline, Finished, finish
from penjing.app.holding import holder, whole_checkpoint
from penjing.app.origin import origin_of, prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.smaller_recipes import PruneCommand
from penjing.app.tasks import TextSettings, flow_of
from penjing.app.vocabulary import Kept, needed_tokens, prove_same_tokens, unknown_share, write_tokenizer
from penjing.core.errors import UsageError
from penjing.core.machine import describe_machine
from penjing.core.nouns import Task
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import recipe_digest
from penjing.data import DataRecipe, read_texts
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.store import Bundle, ManifestDraft, Parent, Store, parse_reference
from penjing.tokens import Text

_PRUNED = (Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of it.

    Attributes:
        ended: the new version, its scores, its speed beside the old one's, and the change.
        notes: what was dropped, a sentence each.
    """

    ended: Finished
    notes: tuple[str, ...]


def prune(command: PruneCommand, *, store: Path, progress: Progress = SILENT) -> Pruned:
    """Cut, prove, compare, publish.

    Raises:
        UsageError: the version has no checkpoint, or more is to be kept than there is.
        ParityError: a text would get other tokens; nothing is registered.
        GateRefusal: more quality would be lost than ``max_drop`` allows; nothing is registered.
    """
    home = Store(store)
    parent = home.bundle(*parse_reference(command.model))
    manifest = parent.manifest
    if manifest.task not in _PRUNED:
        raise UsageError(f"{parent.reference} is for {manifest.task.value}", expected=f"one of {', '.join(_PRUNED)}")
    checkpoint = find_checkpoint(str(whole_checkpoint(parent)))
    data = prepare_for(parent, progress)
    name = command.name or manifest.model
    with home.stage(name) as staging:
        from penjing.app.cutting import cut  # only now: it loads torch

        target, kept = staging.path / "checkpoint", None
        if command.vocabulary:
            corpus = list(_corpus(command, data, manifest.task))
            kept = needed_tokens(checkpoint.tokenizer, corpus, least=command.least_count)
        progress.say("Cutting …")
        notes = cut(
            command,
            checkpoint,
            manifest.task,
            problem=manifest.problem_type,
            calibration=data.train,
            tokens=kept.tokens if kept else None,
            target=target,
            progress=progress,
        )
        judged = data
        if kept:
            write_tokenizer(target, kept)
            notes += _proved(command, checkpoint, target, corpus, kept=kept, data=data, parent=parent)
            judged = _read_anew(data, target, parent)
        for note in notes:
            progress.say(f"  {note}")
        baseline = Baseline(parent, data.test, home, command.max_drop, form="pruned")
        ended = finish(
            staging,
            _draft(command, parent, target, notes=notes),
            judged,
            name=name,
            recipe=command,
            export=command.export,
            measured=command.measure,
            history=(),
            baseline=baseline,
            hold=holder(sparse=command.holds_sparse),
            progress=progress,
        )
    return Pruned(ended, tuple(notes))


def _corpus(command: PruneCommand, data: PreparedData, task: Task) -> Iterator[Text]:
    """The texts whose tokens are kept: the training split's, the validation split's, and those of more sources."""
    flow = flow_of(task)
    for name, part in data.parts.items():
        if name != "test":
            yield from flow.texts(part.split.examples)
    for source in command.texts:
        for example in read_texts(source, DataRecipe(train=source), task=task):
            yield from flow.texts([example])


def _proved(
    command: PruneCommand,
    checkpoint: Checkpoint,
    target: Path,
    corpus: list[Text],
    *,
    kept: Kept,
    data: PreparedData,
    parent: Bundle,
) -> list[str]:
    """What was found of the new tokenizer: the same tokens on all the corpus, and what is unknown in the test split."""
    after = target / "tokenizer.json"
    covered = prove_same_tokens(checkpoint.tokenizer, after, corpus, kept=kept, least=command.least_count)
    held_out = flow_of(parent.manifest.task).texts(data.test.split.examples)
    before, now = (unknown_share(file, held_out) for file in (checkpoint.tokenizer, after))
    return [
        f"{covered:,} of {kept.texts:,} texts are covered: they get the tokens they had",
        f"of the test split's tokens {now:.2%} are unknown, before {before:.2%}",
    ]


def _read_anew(data: PreparedData, target: Path, parent: Bundle) -> PreparedData:
    """The splits as the new tokenizer reads them."""
    text, flow = parent.manifest.text, flow_of(parent.manifest.task, parent.manifest.problem_type)
    settings = TextSettings(target / "tokenizer.json", text.max_tokens, text.stride)
    train, test = (flow.part(part.split, settings, data.outputs) for part in (data.train, data.test))
    validation = flow.part(data.validation.split, settings, data.outputs) if data.validation else None
    return PreparedData(data.data, data.outputs, train, test, validation)


def _draft(command: PruneCommand, parent: Bundle, target: Path, *, notes: list[str]) -> ManifestDraft:
    before = parent.manifest.draft()
    pad = find_checkpoint(str(target)).pad_id
    changed = {
        "text": before.text.model_copy(update={"tokenizer": "checkpoint/tokenizer.json", "pad_id": pad}),
        "engine": None,
        "recipe": command.model_dump(mode="json") | {"origin": dict(origin_of(parent))},
        "recipe_digest": recipe_digest(command),
        "parents": (Parent(kind="version", name=parent.reference, digest=parent.digest),),
        "metrics": {},
        "speed": {},
        "notes": tuple(notes),
        "machine": describe_machine(),
    }
    return before.model_copy(update=changed)
