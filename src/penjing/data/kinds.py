"""What each task makes of rows. A new task is a line in :data:`KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core.errors import DataError
from penjing.core.nouns import Problem, Task
from penjing.data.examples import Example, Row, TextExample
from penjing.data.generation import check_generation, prompts_to_continue, take_generation_rows
from penjing.data.multi_label import check_multi_label, take_multi_label_rows
from penjing.data.numbers import check_numbers, take_number_rows
from penjing.data.overlap import texts_of
from penjing.data.pairs import check_pairs, take_pair_rows
from penjing.data.parallel import check_parallel, source_of, take_parallel_rows, untranslated_texts
from penjing.data.questions import check_questions, context_of, take_question_rows, unanswered_questions
from penjing.data.recipe import DataRecipe
from penjing.data.tagged import check_tagged, take_tagged_rows
from penjing.data.text import Intake, take_plain_rows, take_text_rows, unlabelled_texts


@dataclass(frozen=True, slots=True)
class Taking:
    """How a task takes rows in.

    Attributes:
        take: rows, their source and the recipe → examples, and what was left out.
        check: raises DataError if training examples cannot teach anything.
        ask: rows, their source and the recipe → examples to predict on, one at a time.
        unit: example → the texts that may stand in one split only.
    """

    take: Callable[[Iterator[Row], str, DataRecipe], Intake[Any]]
    check: Callable[[Sequence[Any], str], None]
    ask: Callable[[Iterator[Row], str, DataRecipe], Iterator[Any]] = unlabelled_texts
    unit: Callable[[Any], tuple[str, ...]] = texts_of


def taking(task: Task, problem: Problem = Problem.SINGLE_LABEL) -> Taking:
    """How ``task`` takes rows in; text classification by what it answers with."""
    return PROBLEMS[problem] if task is Task.TEXT_CLASSIFICATION else KINDS[task]


def label_order(labels: Iterable[str | None]) -> tuple[str, ...]:
    """Distinct labels: by number if all are whole numbers, else by code point."""
    names = sorted({label for label in labels if label is not None})
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=int) if whole else names)


def labels_in(examples: Iterable[Example]) -> tuple[str, ...]:
    """Distinct labels of examples, in :func:`label_order`."""
    return label_order(label for example in examples for label in example.labels)


def _anything(examples: Sequence[TextExample], source: str) -> None:
    del examples, source


def _check_classes(examples: Sequence[TextExample], source: str) -> None:
    labels = {example.label for example in examples}
    if len(labels) < 2:
        raise DataError(
            f"every row of {source} has the label {next(iter(labels))!r}",
            expected="at least two labels",
            do="Check that label: names the right column and that the file is not cut off or sorted into parts.",
        )


PROBLEMS: dict[Problem, Taking] = {
    Problem.SINGLE_LABEL: Taking(take_text_rows, _check_classes),
    Problem.MULTI_LABEL: Taking(take_multi_label_rows, check_multi_label),
    Problem.REGRESSION: Taking(take_number_rows, check_numbers),
}
KINDS: dict[Task, Taking] = {
    Task.TOKEN_CLASSIFICATION: Taking(take_tagged_rows, check_tagged),
    Task.FILL_MASK: Taking(take_plain_rows, _anything),
    Task.FEATURE_EXTRACTION: Taking(take_pair_rows, check_pairs),
    Task.TEXT_GENERATION: Taking(take_generation_rows, check_generation, prompts_to_continue),
    Task.TRANSLATION: Taking(take_parallel_rows, check_parallel, untranslated_texts, source_of),
    Task.QUESTION_ANSWERING: Taking(take_question_rows, check_questions, unanswered_questions, context_of),
}
