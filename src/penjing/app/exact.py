"""Answers of a language model held against the completions of labelled rows: what ``penjing evaluate --exact`` adds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from penjing.app.generate import Asked, SamplingRecipe, generate
from penjing.app.prepared import Part
from penjing.core.errors import DataError, UsageError
from penjing.core.nouns import Frozen, Measurement, Task
from penjing.core.progress import Progress
from penjing.data import GenerationExample
from penjing.evaluate.exact import is_same_answer
from penjing.evaluate.intervals import share
from penjing.store import Bundle


class ExactRecipe(Frozen):
    """How answers are asked for and compared.

    Attributes:
        after: compare only what stands behind its last occurrence, such as ``####``; None compares all.
        max_tokens: of an answer; one that is cut is compared as it is.
    """

    after: str | None = Field(None, min_length=1)
    max_tokens: int = Field(256, ge=1)


def exact_match(bundle: Bundle, part: Part, recipe: ExactRecipe, *, store: Path, progress: Progress) -> Measurement:
    """Share of the rows that the model answers rightly, the most probable token taken each time.

    Args:
        bundle: a version for text generation.
        part: rows with a prompt and its completion, or conversations that end in an answer.
        recipe: how.
        store: where the version lies.
        progress: where to show it.

    Raises:
        UsageError: a version for another task.
        DataError: a row that has no answer of its own.
    """
    if bundle.manifest.task is not Task.TEXT_GENERATION:
        raise UsageError(f"{bundle.reference} is for {bundle.manifest.task.value}", expected="one that writes answers")
    examples: Sequence[GenerationExample] = part.split.examples
    asked = [_asked(example) for example in examples]
    how = SamplingRecipe(max_tokens=recipe.max_tokens, chat="auto" if any(one.messages for one in examples) else "no")
    right = 0
    with progress.stage(f"Asking {bundle.reference}", total=len(asked)) as stage:
        answers = generate(bundle.reference, [prompt for prompt, _ in asked], store=store, sampling=how)
        for (_, wanted), answer in zip(asked, answers, strict=True):
            right += is_same_answer(answer.text, wanted, after=recipe.after)
            stage.advance(1)
    return share(right, len(asked))


def _asked(example: GenerationExample) -> tuple[Asked, str]:
    """What the model goes on with, and what should follow."""
    if example.messages and example.messages[-1][0] == "assistant":
        turns: list[dict[str, Any]] = [{"role": role, "content": content} for role, content in example.messages]
        return turns[:-1], turns[-1]["content"]
    if example.prompt is None:
        raise DataError(
            f"{example.origin} has no answer to compare with",
            expected="a prompt and its completion, or a conversation that ends in the assistant's answer",
            do="Leave out --exact: plain texts have a perplexity alone.",
        )
    return example.prompt, example.text
