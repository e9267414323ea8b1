"""OpenAI's ``/v1/completions``.

What differs: token ids in a prompt are the model's own; ``logprobs`` tells the tokens written and, as the only
alternative, those tokens themselves where the most probable ones are taken; ``echo`` with ``logprobs`` is refused.

Source: openai/openai-openapi, ``CreateCompletionRequest`` and ``CreateCompletionResponse``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from penjing.core.errors import FieldError, UnsupportedError
from penjing.engines import Prompt
from penjing.serve.api.documents import checked_text, optional
from penjing.serve.api.openai.streaming import Chunk, usage_of
from penjing.serve.api.openai.wishes import Form, form_of, limit, wish_of
from penjing.serve.versions import Servable
from penjing.serve.writing.job import End, Piece, Written
from penjing.serve.writing.request import Answer, Wish, Writing

_DEFAULT_TOKENS = 16
_MOST_PROMPTS = 2048
_BEGINNING = "<|endoftext|>"  # OpenAI's own default prompt; here, a text that is empty


class Completions:
    """One call.

    Args:
        document: the body.
        servable: the model.

    Raises:
        FieldError, UnsupportedError: see :mod:`penjing.serve.api.openai.wishes`.
    """

    api = "Completions"

    def __init__(self, document: Mapping[str, Any], servable: Servable) -> None:
        self._model, self._servable = document["model"], servable
        self._id, self._created = f"cmpl-{uuid4().hex}", int(time.time())
        told = _logprobs(document)
        self.wish: Wish = wish_of(document, max_tokens=limit(document, "max_tokens") or _DEFAULT_TOKENS)
        self.form: Form = form_of(document, logprobs=told is not None)
        self._echo = optional(document, "echo", bool) or False
        self._alternatives = bool(told)
        self._given = _prompts(document.get("prompt"))
        self._begun: dict[int, int] = {}  # answer → characters told
        _refuse_contradictions(self.wish, document, told, echo=self._echo)

    def prompts(self) -> list[Prompt]:
        """The prompts in tokens."""
        side = self._servable.side
        return [side.prompt(one) if isinstance(one, str) else _checked(one, side) for one in self._given]

    def whole(self, answers: Sequence[Answer], writing: Writing) -> dict[str, Any]:
        """The reply."""
        choices = [
            self._choice(number, self._echoed(number) + one.text, one.tokens, finish=one.finish)
            for number, one in enumerate(answers)
        ]
        return self._object(choices) | {"usage": usage_of(writing)}

    def first(self) -> Iterator[Chunk]:
        """What a stream begins with: echoed prompts."""
        for number in range(len(self._given) * self.wish.answers):
            if echoed := self._echoed(number):
                yield self._chunk([self._choice(number, echoed, [], finish=None)])

    def chunk_of(self, number: int, what: Piece | End) -> Iterator[Chunk]:
        """What a stream goes on with."""
        tokens = what.tokens if isinstance(what, Piece) else ()
        if what.text or tokens:
            yield self._chunk([self._choice(number, what.text, tokens, finish=None)])
        if isinstance(what, End):
            yield self._chunk([self._choice(number, "", (), finish=what.finish)])

    def last(self, writing: Writing) -> Iterator[Chunk]:
        """What a stream ends with."""
        if self.form.tells_usage:
            yield self._object([]) | {"usage": usage_of(writing)}

    def _echoed(self, number: int) -> str:
        if not self._echo:
            return ""
        given = self._given[number // self.wish.answers]
        if isinstance(given, str):
            return given
        stream = self._servable.side.stream(Prompt([]))
        return "".join([*map(stream.take, given), stream.rest()])

    def _object(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._object(choices) | ({"usage": None} if self.form.tells_usage else {})

    def _choice(self, number: int, text: str, tokens: Sequence[Written], *, finish: str | None) -> dict[str, Any]:
        logprobs = None
        if self.form.logprobs:
            offsets = []
            for token in tokens:
                offsets.append(self._begun.get(number, 0))
                self._begun[number] = offsets[-1] + len(token.text)
            logprobs = {
                "tokens": [token.text for token in tokens],
                "token_logprobs": [token.logprob for token in tokens],
                "top_logprobs": [{token.text: token.logprob} for token in tokens] if self._alternatives else None,
                "text_offset": offsets,
            }
        return {"text": text, "index": number, "logprobs": logprobs, "finish_reason": finish}


def _prompts(given: Any) -> list[str | list[int]]:
    """Texts or token lists, from each of the four forms."""
    if given is None or given == _BEGINNING:
        given = ""
    if isinstance(given, str):
        return [checked_text(given, where="prompt")]
    if isinstance(given, list) and given and len(given) <= _MOST_PROMPTS:
        if all(isinstance(one, str) for one in given):
            return [checked_text(one, where="prompt") for one in given]
        if all(type(one) is int for one in given):
            return [given]
        if all(isinstance(one, list) and one and all(type(token) is int for token in one) for one in given):
            return list(given)
    raise FieldError(
        "Invalid type for 'prompt': expected a string, an array of strings, an array of integers, or an array of "
        f"integer arrays, none of them empty, and at most {_MOST_PROMPTS}.",
        field="prompt",
    )


def _checked(ids: list[int], side: Any) -> Prompt:
    if not all(0 <= one < side.vocabulary_size for one in ids):
        odd = next(one for one in ids if not 0 <= one < side.vocabulary_size)
        raise FieldError(
            f"Invalid 'prompt': the model has no token {odd}; its ids are below {side.vocabulary_size}.", field="prompt"
        )
    return Prompt(ids)


def _logprobs(document: Mapping[str, Any]) -> int | None:
    value = document.get("logprobs")
    if value is None or value is False:
        return None
    if type(value) is not int or not 0 <= value <= 5:
        raise FieldError("Invalid 'logprobs': expected an integer from 0 to 5.", field="logprobs")
    return value


def _refuse_contradictions(wish: Wish, document: Mapping[str, Any], told: int | None, *, echo: bool) -> None:
    if told is not None and (told > 1 or (told == 1 and wish.options.temperature > 0)):
        raise UnsupportedError(
            "alternatives to the tokens written are not told", do="Set logprobs to 0, or temperature to 0."
        )
    if echo and told is not None:
        raise UnsupportedError("log-probabilities of a prompt are not told", do="Leave echo or logprobs out.")
    if document.get("best_of") not in (None, wish.answers):
        raise UnsupportedError("'best_of' other than n is not supported by this server", do="Leave it out.")
