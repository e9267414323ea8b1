"""From rows to what a language model is taught on, or asked to go on with.

Read are rows of

* ``messages``: a list of turns with ``role`` and ``content``, or ShareGPT's ``from`` and ``value``; as JSON in a
  text column too;
* or ``prompt`` and ``completion``;
* or ``text`` alone.

Promise: one source has one of the three; a conversation without an answer teaches nothing and is counted as
unlabelled; roles and texts are left as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from penjing.core.errors import DataError
from penjing.data.columns import TEXT_NAMES, choose_column
from penjing.data.examples import GenerationExample, Row
from penjing.data.recipe import DataRecipe
from penjing.data.text import Intake, text_value

MESSAGES_NAMES = ("messages", "conversation", "conversations", "chat", "dialog")
PROMPT_NAMES = ("prompt", "instruction", "question", "input")
COMPLETION_NAMES = ("completion", "response", "answer", "output")
ROLES = ("system", "developer", "user", "assistant", "tool")
_SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", "user": "user", "assistant": "assistant"}


class _Columns(NamedTuple):
    messages: str | None
    prompt: str | None
    text: str | None


def take_generation_rows(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Intake[GenerationExample]:
    """Read every row into an example, or note why not.

    Raises:
        DataError: no rows, columns that cannot be settled, values that are not text, turns that are none, or
            what the recipe says is an error.
    """
    intake: Intake[GenerationExample] = Intake()
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(list(row.fields), source, recipe)
        example = _example(row, columns)
        if not any(text.strip() for text in example.texts):
            intake.blank.append(row.origin)
        elif not _teaches(example):
            intake.unlabelled.append(row.origin)
        else:
            intake.examples.append(example)
    intake.refuse_left_out(source, recipe)
    if not intake.examples:
        raise DataError(f"{source} has no row to learn from", expected="messages, prompt and completion, or text")
    return intake


def prompts_to_continue(rows: Iterator[Row], source: str, recipe: DataRecipe) -> Iterator[GenerationExample]:
    """Prompts and conversations to go on with, one at a time, for prediction; answers that follow are left out.

    Raises:
        DataError: the columns cannot be settled, or a value is not text.
    """
    columns: _Columns | None = None
    for row in rows:
        columns = columns or _choose(list(row.fields), source, recipe, asks=True)
        if columns.messages:
            turns = _turns(row, columns.messages)
            last = max((at for at, (role, _) in enumerate(turns, 1) if role != "assistant"), default=0)
            yield GenerationExample("", None, turns[:last], row.origin)
        else:
            yield GenerationExample("", text_value(row, columns.prompt or str(columns.text)), (), row.origin)


def check_generation(examples: Sequence[GenerationExample], source: str) -> None:
    """Whatever was read teaches something."""
    del examples, source


def _choose(names: list[str], source: str, recipe: DataRecipe, *, asks: bool = False) -> _Columns:
    folded = {name.strip().casefold(): name for name in names}
    messages = recipe.messages or next((folded[name] for name in MESSAGES_NAMES if name in folded), None)
    if messages and not recipe.prompt and not recipe.text:
        return _Columns(choose_column(names, source, what="messages", named=messages, usual=()), None, None)
    prompt = recipe.prompt or next((folded[name] for name in PROMPT_NAMES if name in folded), None)
    completion = recipe.completion or next((folded[name] for name in COMPLETION_NAMES if name in folded), None)
    if prompt and (completion or asks) and not recipe.text:
        first = choose_column(names, source, what="prompt", named=prompt, usual=())
        if asks:
            return _Columns(None, first, None)
        return _Columns(None, first, choose_column(names, source, what="completion", named=completion, usual=()))
    if prompt and not recipe.text and not any(name in folded for name in TEXT_NAMES):
        choose_column(names, source, what="completion", named=None, usual=COMPLETION_NAMES)
    return _Columns(None, None, choose_column(names, source, what="text", named=recipe.text, usual=TEXT_NAMES))


def _example(row: Row, columns: _Columns) -> GenerationExample:
    if columns.messages:
        return GenerationExample("", None, _turns(row, columns.messages), row.origin)
    prompt = text_value(row, columns.prompt) if columns.prompt else None
    return GenerationExample(text_value(row, str(columns.text)), prompt, (), row.origin)


def _teaches(example: GenerationExample) -> bool:
    if example.messages:
        return any(role == "assistant" and content.strip() for role, content in example.messages)
    return bool(example.text.strip())


def _turns(row: Row, column: str) -> tuple[tuple[str, str], ...]:
    value = row.fields.get(column)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _malformed(row, column, value) from error
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise _malformed(row, column, value)
    return tuple(_turn(one, row, column) for one in value)


def _turn(turn: Mapping[str, object], row: Row, column: str) -> tuple[str, str]:
    role, content = turn.get("role"), turn.get("content")
    if role is None and "from" in turn:
        role, content = _SHAREGPT.get(str(turn["from"])), turn.get("value")
    if role not in ROLES or not isinstance(content, str):
        raise _malformed(row, column, dict(turn))
    return str(role), text_value(Row({"content": content}, row.origin), "content")


def _malformed(row: Row, column: str, value: object) -> DataError:
    return DataError(
        f"{row.origin}: column {column!r} holds {str(value)[:80]}",
        expected=f'turns such as {{"role": "user", "content": "…"}}, with a role among {", ".join(ROLES)}',
    )
