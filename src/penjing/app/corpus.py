"""A corpus made ready for pretraining: where training starts, its text as tokens on disk, and what is held out.

Everything made on the way lies under ``<store>/.runs/``, named by a digest of what it was made from, and is there
whole or not at all: killed at any point, the same command finds what is done. ``text-…`` (token files) and
``tokenizer-…`` stay for the next run on the same text and may be removed at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from penjing.app.mirrors.recipe import run_digest
from penjing.app.prepared import Part, PreparedData
from penjing.app.pretrain_recipe import PretrainRecipe
from penjing.app.tasks import TaskFlow, TextSettings, flow_of
from penjing.core.errors import CheckpointError, DataError, UsageError
from penjing.core.files import digest, sha256_file, staged_directory
from penjing.core.nouns import Task
from penjing.core.progress import Progress
from penjing.core.recipe import recipe_digest
from penjing.data import DataReport, GenerationExample, Split, TaskData, TextExample, make_split
from penjing.data.corpus import Role, documents, source_digest
from penjing.models.checkpoint import Checkpoint, find_checkpoint
from penjing.models.fresh import write_fresh_checkpoint
from penjing.store.manifest import DataRecord
from penjing.tokens.encode import open_tokenizer
from penjing.tokens.learning import learn_tokenizer
from penjing.tokens.stream import (
    TokenFile,
    TokenWindows,
    around,
    clear_unfinished,
    open_tokens,
    pieces_of,
    write_tokens,
)

_SHOWN_EVERY = 2000  # documents
_FIT = {"mlm": "an encoder, or one with the head of a masked model", "clm": "a causal language model"}


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a pretraining works on.

    Attributes:
        start: the checkpoint that training begins with.
        sequences: of the training text, from disk.
        train: what the manifest keeps of it.
        test: held-out documents, in pieces that fit the model, ready to be judged.
        validation: others, for looks while training; None where it looks at none.
        states: where this run, and only this run, keeps its states.
    """

    start: Checkpoint
    sequences: TokenWindows
    train: DataRecord
    test: Part
    validation: Part | None
    states: Path


def prepare_corpus(recipe: PretrainRecipe, *, store: Path, progress: Progress) -> Corpus:
    """Learn the tokenizer, draw the first weights, tokenise; each only where that is not done yet.

    Raises:
        DataError: no text, or text that cannot be read.
        CheckpointError: a model that does not fit the objective.
        UsageError: sequences longer than the model has positions.
    """
    runs, content = store / ".runs", source_digest(recipe.data)
    source = {"text": recipe_digest(recipe.data), "content": content, "seed": recipe.seed, "validates": _looks(recipe)}
    progress.say(f"Reading {recipe.data.train} …")
    start = _start(recipe, runs, source)
    longest, tokenizer = recipe.text.max_tokens, _uncut(start.tokenizer)
    if longest > start.max_tokens:
        raise UsageError(f"text.max_tokens is {longest}", expected=f"at most {start.max_tokens}, the model's positions")
    file = _tokens(recipe, runs, source, start=start, tokenizer=tokenizer, progress=progress)
    before, after = around(tokenizer)
    sequences = TokenWindows(file, max_tokens=longest, before=before, after=after)
    found = f"{len(file.ends):,} documents, {len(file.ids):,} tokens"
    progress.say(f"{found}, {len(sequences):,} sequences of at most {longest}")
    settings = TextSettings(start.tokenizer, longest, recipe.text.overlap)
    part = partial(_part, recipe, flow_of(recipe.task), tokenizer, settings)
    return Corpus(
        start,
        sequences,
        DataRecord(source=recipe.data.train, sha256=file.sha256, rows=len(file.ends)),
        test=part("test"),
        validation=part("validation") if _looks(recipe) else None,
        states=runs / digest({"recipe": run_digest(recipe), "text": file.sha256, "start": start.digest})[:16],
    )


def _tokens(
    recipe: PretrainRecipe,
    runs: Path,
    source: dict[str, object],
    *,
    start: Checkpoint,
    tokenizer: Tokenizer,
    progress: Progress,
) -> TokenFile:
    """The training text as it was tokenised the first time."""
    last = _end_of(start) if recipe.objective == "clm" else None
    path = runs / f"text-{digest(source | {'tokenizer': sha256_file(start.tokenizer), 'last': last})[:16]}" / "train"
    if not path.exists():
        clear_unfinished(path.parent)
        write_tokens(path, _told(recipe, progress), tokenizer, last=last)
    return open_tokens(path)


def _looks(recipe: PretrainRecipe) -> bool:
    return recipe.training.validate_every is not None


def _texts(recipe: PretrainRecipe, role: Role) -> Iterator[str]:
    return documents(recipe.data, role, seed=recipe.seed, validates=_looks(recipe))


def _told(recipe: PretrainRecipe, progress: Progress) -> Iterator[str]:
    """The training documents, their number shown now and then: how many there will be is not known."""
    characters = 0
    for number, document in enumerate(_texts(recipe, "train"), start=1):
        characters += len(document)
        if number % _SHOWN_EVERY == 0:
            progress.say(f"  {number:,} documents, {characters:,} characters tokenised …")
        yield document


def _start(recipe: PretrainRecipe, runs: Path, source: dict[str, object]) -> Checkpoint:
    """The checkpoint named, or one made of random weights and a tokenizer learnt from the text."""
    if recipe.model is not None:
        found = find_checkpoint(recipe.model)
        fit = (Task.TEXT_GENERATION,) if recipe.objective == "clm" else (None, Task.FILL_MASK, Task.FEATURE_EXTRACTION)
        if found.task not in fit:
            raise CheckpointError(f"{recipe.model} is for {found.task or 'no task'}", expected=_FIT[recipe.objective])
        return found
    learnt = runs / f"tokenizer-{digest(source | {'learnt': recipe_digest(recipe.learnt)})[:16]}"
    made = learnt / digest({"size": recipe_digest(recipe.size), "seed": recipe.seed})[:16]
    if not made.exists():
        clear_unfinished(learnt)
        with staged_directory(made) as beside:
            write_fresh_checkpoint(beside, recipe.size, _learnt(recipe, learnt), seed=recipe.seed)
    return find_checkpoint(str(made))


def _learnt(recipe: PretrainRecipe, folder: Path) -> Tokenizer:
    """The tokenizer, as it was learnt the first time."""
    path = folder / "learnt"
    if not path.exists():
        tokenizer = learn_tokenizer(lambda: _texts(recipe, "train"), recipe.learnt, causal=recipe.size.is_causal)
        with staged_directory(path) as beside:
            tokenizer.save(str(beside / "tokenizer.json"))
    return open_tokenizer(path / "tokenizer.json")


def corpus_data(recipe: PretrainRecipe, flow: TaskFlow, text: TextSettings) -> PreparedData:
    """The held-out text of a pretraining, and as many of its training documents, for a step that follows it."""
    tokenizer = _uncut(text.tokenizer)
    train, test = (_part(recipe, flow, tokenizer, text, role) for role in ("train", "test"))
    report = DataReport(splits=())
    return PreparedData(TaskData(train.split, None, test.split, (), report), (), train, test)


def _end_of(start: Checkpoint) -> int | None:
    """The token that ends a document; None where the model has none."""
    end = start.config.get("eos_token_id")
    return end[0] if isinstance(end, list) else end


def _uncut(path: Path) -> Tokenizer:
    tokenizer = open_tokenizer(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _part(recipe: PretrainRecipe, flow: TaskFlow, tokenizer: Tokenizer, text: TextSettings, role: Role) -> Part:
    """The first documents of a role, each in pieces that fit the model."""
    room = text.max_tokens - sum(map(len, around(tokenizer)))
    source = recipe.data.test if role == "test" and recipe.data.test else recipe.data.train
    held = enumerate(islice(_texts(recipe, role), recipe.data.limit_test_documents), start=1)
    examples: list[Any]
    if flow.windowed:
        examples = [GenerationExample(document, None, (), f"document {number}") for number, document in held]
    else:
        examples = [
            TextExample(piece, None, f"document {number}")
            for number, document in held
            for piece in pieces_of(document, tokenizer, room=room)
        ]
    if not examples:
        raise DataError(
            f"no document of {source} is held out", expected="text to judge the model on",
            do="Raise data.held_out, or name another source as data.test.",
        )  # fmt: skip
    split: Split[Any] = make_split(role, source, examples)
    return flow.part(split, text, ())
