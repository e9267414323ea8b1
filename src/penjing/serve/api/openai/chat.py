"""OpenAI's ``/v1/chat/completions``: conversations by the checkpoint's own chat template.

What differs: contents are texts; tools, pictures and forced forms are refused by name. A ``developer`` turn
is the template's ``system``.

Source: openai/openai-openapi, ``CreateChatCompletionRequest``, ``CreateChatCompletionResponse`` and
``CreateChatCompletionStreamResponse``.
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

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_NO_ROLES = ("tool", "function")


class Chat:
    """One call. See :class:`penjing.serve.api.openai.completions.Completions`."""

    api = "ChatCompletions"

    def __init__(self, document: Mapping[str, Any], servable: Servable) -> None:
        self._model, self._servable = document["model"], servable
        self._id, self._created = f"chatcmpl-{uuid4().hex}", int(time.time())
        most = limit(document, "max_completion_tokens") or limit(document, "max_tokens")
        self.wish: Wish = wish_of(document, max_tokens=most)
        logprobs = optional(document, "logprobs", bool) or False
        self.form: Form = form_of(document, logprobs=logprobs)
        _refuse_alternatives(document, logprobs=logprobs)
        self._messages = _messages(document.get("messages"))
        self._told = optional(document, "chat_template_kwargs", dict) or {}
        if strange := self._told.keys() & {"messages", "add_generation_prompt", "asks", "mark"}:
            raise FieldError(f"'{min(strange)}' is told by the server", field="chat_template_kwargs")

    def prompts(self) -> list[Prompt]:
        """The conversation in tokens."""
        return [self._servable.side.conversation(self._messages, self._told)]

    def whole(self, answers: Sequence[Answer], writing: Writing) -> dict[str, Any]:
        """The reply."""
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": _logprobs(one.tokens) if self.form.logprobs else None,
                "finish_reason": one.finish,
            }
            for number, one in enumerate(answers)
        ]
        return self._object("chat.completion", choices) | {"usage": usage_of(writing)}

    def first(self) -> Iterator[Chunk]:
        """What a stream begins with: whose turn it is."""
        for number in range(self.wish.answers):
            yield self._chunk(number, {"role": "assistant", "content": "", "refusal": None})

    def chunk_of(self, number: int, what: Piece | End) -> Iterator[Chunk]:
        """What a stream goes on with."""
        tokens = what.tokens if isinstance(what, Piece) else ()
        if what.text or (tokens and self.form.logprobs):
            yield self._chunk(number, {"content": what.text}, tokens=tokens)
        if isinstance(what, End):
            yield self._chunk(number, {}, finish=what.finish)

    def last(self, writing: Writing) -> Iterator[Chunk]:
        """What a stream ends with."""
        if self.form.tells_usage:
            yield self._object("chat.completion.chunk", []) | {"usage": usage_of(writing)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model, "choices": choices}

    def _chunk(
        self, number: int, delta: dict[str, Any], *, tokens: Sequence[Written] = (), finish: str | None = None
    ) -> dict[str, Any]:
        logprobs = _logprobs(tokens) if self.form.logprobs and tokens else None
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        usage = {"usage": None} if self.form.tells_usage else {}
        return self._object("chat.completion.chunk", [choice]) | usage


def _logprobs(tokens: Sequence[Written]) -> dict[str, Any]:
    content = [
        {"token": one.text, "logprob": one.logprob, "bytes": [*one.text.encode()], "top_logprobs": []} for one in tokens
    ]
    return {"content": content, "refusal": None}


def _refuse_alternatives(document: Mapping[str, Any], *, logprobs: bool) -> None:
    wanted = optional(document, "top_logprobs", int)
    if wanted and not logprobs:
        raise FieldError(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", field="top_logprobs"
        )
    if wanted:
        raise UnsupportedError("alternatives to the tokens written are not told", do="Leave top_logprobs out.")


def _messages(given: Any) -> list[dict[str, str]]:
    if given is None:
        raise FieldError("Missing required parameter: 'messages'.", field="messages")
    if not isinstance(given, list) or not given:
        raise FieldError("Invalid 'messages': expected an array with at least one message.", field="messages")
    return [_message(one, f"messages[{at}]") for at, one in enumerate(given)]


def _message(given: Any, where: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise FieldError(f"Invalid type for '{where}': expected an object.", field=where)
    role = given.get("role")
    if role in _NO_ROLES or given.get("tool_calls"):
        raise UnsupportedError(f"tools are not supported by this server ({where})")
    if role not in _ROLES:
        raise FieldError(
            f"Invalid value: '{str(role)[:80]}'. Supported values are: {', '.join(map(repr, _ROLES))}.",
            field=f"{where}.role",
        )
    return {"role": _ROLES[role], "content": _content(given.get("content"), f"{where}.content")}


def _content(given: Any, where: str) -> str:
    if isinstance(given, list) and all(isinstance(part, dict) for part in given):
        if strange := [part.get("type") for part in given if part.get("type") not in ("text", "refusal")]:
            raise UnsupportedError(f"a part of type {str(strange[0])[:80]!r} in {where}", expected="text alone")
        given = "".join(str(part.get("text") or part.get("refusal") or "") for part in given)
    if not isinstance(given, str):
        raise FieldError(f"Invalid type for '{where}': expected a string or an array of text parts.", field=where)
    return checked_text(given, where=where)
