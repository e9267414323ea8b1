"""What a checkpoint is for, as its ``config.json`` says. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.core.nouns import Task
from penjing.tokens import Reads

# Task → how Transformers' class names end, and its automatic class.
TASK_CLASSES: dict[Task, tuple[str, str]] = {
    Task.TEXT_CLASSIFICATION: ("ForSequenceClassification", "AutoModelForSequenceClassification"),
    Task.TOKEN_CLASSIFICATION: ("ForTokenClassification", "AutoModelForTokenClassification"),
    Task.QUESTION_ANSWERING: ("ForQuestionAnswering", "AutoModelForQuestionAnswering"),
}


def task_of(config: Mapping[str, Any]) -> Task | None:
    """What a checkpoint is for, from the class that its ``config.json`` names; None for a bare encoder."""
    names = [str(name) for name in config.get("architectures") or ()]
    return next((task for task, (ending, _) in TASK_CLASSES.items() if any(n.endswith(ending) for n in names)), None)


def reads_of(config: Mapping[str, Any]) -> Reads:
    """What the head of a checkpoint reads of each sequence."""
    return "first" if task_of(config) in (None, Task.TEXT_CLASSIFICATION) else "tokens"
