"""The closed registry of tasks that the life-cycle commands know."""

from __future__ import annotations

from penjing.app.tasks.base import TaskFlow
from penjing.app.tasks.feature_extraction import FeatureExtractionFlow
from penjing.app.tasks.fill_mask import FillMaskFlow
from penjing.app.tasks.question_answering import QuestionAnsweringFlow
from penjing.app.tasks.text_classification import TextClassificationFlow
from penjing.app.tasks.text_generation import TextGenerationFlow
from penjing.app.tasks.token_classification import TokenClassificationFlow
from penjing.app.tasks.translation import TranslationFlow
from penjing.core.errors import UsageError
from penjing.core.nouns import Problem, Task

FLOWS: dict[Task, type[TaskFlow]] = {
    Task.TEXT_CLASSIFICATION: TextClassificationFlow,
    Task.TOKEN_CLASSIFICATION: TokenClassificationFlow,
    Task.FEATURE_EXTRACTION: FeatureExtractionFlow,
    Task.FILL_MASK: FillMaskFlow,
    Task.QUESTION_ANSWERING: QuestionAnsweringFlow,
    Task.TEXT_GENERATION: TextGenerationFlow,
    Task.TRANSLATION: TranslationFlow,
}


def flow_of(task: Task, problem: Problem | None = None) -> TaskFlow:
    """What is particular to ``task``.

    Args:
        task: which.
        problem: what text classification answers with; None is one label.

    Raises:
        UsageError: the commands do not know it.
    """
    if task not in FLOWS:
        raise UsageError(f"task {task.value}", expected=f"one of {', '.join(one.value for one in FLOWS)}")
    return TextClassificationFlow(problem) if task is Task.TEXT_CLASSIFICATION else FLOWS[task]()
