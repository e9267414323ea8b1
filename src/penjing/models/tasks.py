"""What a checkpoint is for, as its ``config.json`` says. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.core.nouns import Embedding, Task
from penjing.tokens import Reads

# Task → how Transformers' class names end, and its automatic class. A bare encoder's ends in what others' end in too.
TASK_CLASSES: dict[Task, tuple[str | tuple[str, ...], str]] = {
    Task.TEXT_GENERATION: (("ForCausalLM", "GPT2LMHeadModel"), "AutoModelForCausalLM"),
    Task.TEXT_CLASSIFICATION: ("ForSequenceClassification", "AutoModelForSequenceClassification"),
    Task.TOKEN_CLASSIFICATION: ("ForTokenClassification", "AutoModelForTokenClassification"),
    Task.QUESTION_ANSWERING: ("ForQuestionAnswering", "AutoModelForQuestionAnswering"),
    Task.FILL_MASK: ("ForMaskedLM", "AutoModelForMaskedLM"),
    Task.TRANSLATION: (("MTModel", "ForConditionalGeneration"), "AutoModelForSeq2SeqLM"),
    Task.FEATURE_EXTRACTION: ("Model", "AutoModel"),
}

WRITING_TASKS = frozenset({Task.TEXT_GENERATION, Task.TRANSLATION})  # whose models write token by token


def task_of(config: Mapping[str, Any]) -> Task | None:
    """What a checkpoint is for, from the class that its ``config.json`` names; None if it names none that is known."""
    names = [str(name) for name in config.get("architectures") or ()]
    return next((task for task, (ending, _) in TASK_CLASSES.items() if any(n.endswith(ending) for n in names)), None)


def reads_of(task: Task | None, embedding: Embedding | None = None) -> Reads:
    """What the head for a task reads of each sequence."""
    if task is Task.FEATURE_EXTRACTION:
        return embedding.pooling if embedding else "mean"
    if task in (Task.FILL_MASK, *WRITING_TASKS):
        return "chosen"
    return "first" if task in (None, Task.TEXT_CLASSIFICATION) else "tokens"
