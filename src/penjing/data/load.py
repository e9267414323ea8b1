"""Labelled examples of a task, from a recipe to splits that can be trained and judged on, with a report.

Order of work: read and check every row; hold out what has no source of its own; settle texts
that are in two splits; check labels; limit. Promises: the same recipe, files and seed give the
same splits; rows that are the same text never part between splits held out here; no row is left
out without being counted in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data.examples import Kind, Split, TextExample, make_split
from penjing.data.kinds import labels_in, taking
from penjing.data.overlap import Keyed, grouped, keys_of, settle_leaks, with_keys
from penjing.data.recipe import DataRecipe
from penjing.data.report import DataReport, SplitReport, count_labels, count_replaced, measure_lengths
from penjing.data.sampling import ROLES, hold_out, limit_rows
from penjing.data.sources import own_splits, read_rows
from penjing.data.text import Intake

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class TaskData(Generic[Kind]):
    """Splits for a task.

    Attributes:
        train, test: never empty.
        validation: None where the recipe asks for none.
        labels: names in the order of their ids: by number if all are whole numbers, else by code point.
        report: what was found and done.
    """

    train: Split[Kind]
    validation: Split[Kind] | None
    test: Split[Kind]
    labels: tuple[str, ...]
    report: DataReport


def load_text_splits(recipe: DataRecipe, seed: int = 0) -> TaskData[TextExample]:
    """Splits for text classification. See :func:`load_splits`."""
    return load_splits(recipe, Task.TEXT_CLASSIFICATION, seed=seed)


def load_splits(recipe: DataRecipe, task: Task, *, seed: int = 0) -> TaskData[Any]:
    """Read, check and split labelled examples of a task.

    Args:
        recipe: sources, columns and policies.
        task: what they are for.
        seed: non-negative; decides what is held out and what a limit keeps.

    Raises:
        DataError: whatever is wrong in the data that the recipe does not tell to leave out.
        UsageError: a malformed source.
        ResourceError: a package, the network or a registry is needed and missing.
    """
    sources = _sources(recipe)
    intakes = {role: _take(source, role, recipe, task) for role, source in sources.items()}
    how = taking(task, recipe.problem)
    parts = {role: with_keys(intake.examples.settled(), how.unit) for role, intake in intakes.items()}
    notes = hold_out(parts, recipe, seed)
    leaks = settle_leaks(parts, recipe.on_leak)
    how.check(parts["train"].examples, recipe.train)
    labels = labels_in(parts["train"].examples)
    unseen = _settle_unseen(parts, labels, drop=recipe.on_unseen_label == "drop")
    notes += limit_rows(parts, recipe, seed)
    _check_scope(recipe.out_of_scope, labels, recipe.train)
    splits = {
        role: make_split(role, sources.get(role, recipe.train), parts[role].examples, out_of_scope=recipe.out_of_scope)
        for role in ROLES
        if role in parts
    }
    described = tuple(
        _describe(splits[role], parts[role], intakes.get(role), labels, unseen=unseen.get(role, 0)) for role in splits
    )
    report = DataReport(splits=described, leaks=tuple(leaks), notes=tuple(notes))
    return TaskData(splits["train"], splits.get("validation"), splits["test"], labels, report)


def load_text_split(
    source: str, labels: Sequence[str], *, recipe: DataRecipe | None = None, seed: int = 0
) -> Split[TextExample]:
    """A source for text classification on its own. See :func:`load_split`."""
    return load_split(source, labels, task=Task.TEXT_CLASSIFICATION, recipe=recipe, seed=seed)


def load_split(
    source: str, labels: Sequence[str], *, task: Task, recipe: DataRecipe | None = None, seed: int = 0
) -> Split[Any]:
    """One labelled source on its own, to judge a model that knows ``labels`` already.

    Args:
        source: as in a recipe; a source that carries splits gives its ``test``.
        labels: the model's; other labels are an error, or left out where the recipe says so.
        task: what the examples are for.
        recipe: columns, encodings and policies; its own sources are not read.
        seed: non-negative; decides what ``limit_eval_rows`` keeps.

    Raises:
        DataError, UsageError, ResourceError: as :func:`load_text_splits`.
    """
    recipe = recipe or DataRecipe(train=source)
    unit = taking(task, recipe.problem).unit
    parts = {"test": with_keys(_take(source, "test", recipe, task).examples.settled(), unit)}
    _settle_unseen(parts, labels, drop=recipe.on_unseen_label == "drop")
    limit_rows(parts, recipe, seed)
    return make_split("test", source, parts["test"].examples, out_of_scope=recipe.out_of_scope)


def read_texts(
    source: str, recipe: DataRecipe | None = None, *, task: Task = Task.TEXT_CLASSIFICATION
) -> Iterator[Any]:
    """Examples to predict on, one at a time, labels neither needed nor read; blank ones included.

    Raises:
        DataError, UsageError, ResourceError: as :func:`load_text_splits`.
    """
    recipe = recipe or DataRecipe(train=source)
    return taking(task, recipe.problem).ask(read_rows(source, "test", recipe.reading), source, recipe)


def _sources(recipe: DataRecipe) -> dict[str, str]:
    """Role → source, for the roles that have one."""
    own: frozenset[str] = frozenset()
    if recipe.test is None or (recipe.validation is None and recipe.validation_fraction is None):
        own = own_splits(recipe.train)
    sources = {"train": recipe.train}
    if validation := recipe.validation or _carried(recipe, own):
        sources["validation"] = validation
    if test := recipe.test or (recipe.train if "test" in own else None):
        sources["test"] = test
    return sources


def _carried(recipe: DataRecipe, own: frozenset[str]) -> str | None:
    return recipe.train if recipe.validation_fraction is None and "validation" in own else None


def _take(source: str, role: str, recipe: DataRecipe, task: Task) -> Intake[Any]:
    return taking(task, recipe.problem).take(read_rows(source, role, recipe.reading), source, recipe)


def _settle_unseen(parts: dict[str, Keyed[Any]], labels: Sequence[str], *, drop: bool) -> dict[str, int]:
    """Rows with labels that a model of ``labels`` cannot give: refused or left out. Returns how many by role."""
    known, dropped = frozenset(labels), {}
    for role in parts:
        examples = parts[role].examples
        strange = Counter(label for example in examples for label in set(example.labels) - known)
        if not strange:
            continue
        kept = [index for index, example in enumerate(examples) if known.issuperset(example.labels)]
        if not drop or not kept:
            shown = ", ".join(f"{label!r} ({rows} rows)" for label, rows in strange.most_common(_SHOWN))
            more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
            raise DataError(
                f"{role} has labels that training never sees: {shown}{more}",
                expected=f"labels among {', '.join(map(repr, labels[:_SHOWN]))}{' …' if len(labels) > _SHOWN else ''}",
                do="Correct the labels, or set on_unseen_label: drop to leave those rows out.",
            )
        parts[role] = parts[role].at(kept)
        dropped[role] = len(examples) - len(kept)
    return dropped


def _check_scope(label: str | None, labels: Sequence[str], source: str) -> None:
    if label is None:
        return
    if label not in labels:
        raise DataError(
            f"no row of {source} has the label {label!r} that out_of_scope names",
            expected=f"one of {', '.join(map(repr, labels[:_SHOWN]))}{' …' if len(labels) > _SHOWN else ''}",
            do="Add some texts that belong to no other label, or leave out_of_scope out.",
        )
    if len(labels) < 3:
        raise DataError(f"beside {label!r}, {source} has one label only", expected="two labels that are in scope")


def _describe(
    split: Split[Any], part: Keyed[Any], intake: Intake[Any] | None, labels: Sequence[str], *, unseen: int
) -> SplitReport:
    group, first = grouped(keys_of(example.texts for example in part.examples))
    conflicts = _conflicts(part.examples, group, first)
    return SplitReport(
        name=split.name,
        source=split.source,
        sha256=split.sha256,
        rows=split.rows,
        labels=count_labels(split.examples, labels),
        characters=measure_lengths(split.examples),
        blank_dropped=len(intake.blank) if intake else 0,
        unlabelled_dropped=len(intake.unlabelled) if intake else 0,
        misaligned_dropped=len(intake.misaligned) if intake else 0,
        mended=len(intake.mended) if intake else 0,
        repeated=len(intake.repeated) if intake else 0,
        unseen_dropped=unseen,
        repeats=split.rows - len(first),
        conflicts=len(conflicts),
        first_conflicts=tuple(part.examples[index].origin for index in conflicts[:_SHOWN]),
        replaced=count_replaced(split.examples),
    )


def _conflicts(examples: Sequence[Any], group: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> list[int]:
    """Where each text that stands under more than one label stands first."""
    labels: dict[int, set[tuple[str, ...]]] = {}
    for row in np.flatnonzero(np.bincount(group)[group] > 1):
        labels.setdefault(int(group[row]), set()).add(examples[int(row)].labels)
    return [int(first[number]) for number in sorted(labels) if len(labels[number]) > 1]
