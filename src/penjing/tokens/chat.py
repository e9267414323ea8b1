"""Chat templates: a conversation as the text that a checkpoint was taught on.

The template is the checkpoint's own (``chat_template.jinja``, or the key of ``tokenizer_config.json``), run in
Jinja's sandbox with what Transformers gives it: no torch, no Transformers. Promises: the same text as
``apply_chat_template``, which a test compares; the places of the assistant's answers in it, told by the
template's own ``{% generation %}`` blocks, or else found by rendering the conversation up to each answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from penjing.core.errors import CheckpointError, InvalidRequestError
from penjing.core.extras import require

Message = Mapping[str, Any]
_CONFIG, _FILE, _MAP = "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"
_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: with all special tokens written out.
        answers: (begin, end) in characters of each assistant's answer, the token that ends it included.
    """

    text: str
    answers: tuple[tuple[int, int], ...]


class ChatTemplate:
    """One checkpoint's template.

    Args:
        source: in Jinja's language.
        specials: ``bos_token`` and so on, as the template may write them.
        ends: texts of special tokens, one of which may end an answer.
    """

    def __init__(self, source: str, *, specials: Mapping[str, str], ends: Sequence[str] = ()) -> None:
        self._source, self._specials = source, dict(specials)
        self._ends = tuple(ends) or tuple(self._specials.values())

    @classmethod
    def beside(cls, tokenizer: Path) -> ChatTemplate | None:
        """The template that lies beside a ``tokenizer.json``; None if there is none.

        Raises:
            CheckpointError: a file beside it is malformed.
        """
        config, specials = _object(tokenizer.with_name(_CONFIG)), special_tokens(tokenizer)
        file = tokenizer.with_name(_FILE)
        source = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several by name
            source = next((one.get("template") for one in source if one.get("name") == "default"), None)
        if not isinstance(source, str) or not source:
            return None
        added = _object(tokenizer).get("added_tokens") or []
        return cls(source, specials=specials, ends=[one["content"] for one in added if one.get("special")])

    def render(self, messages: Sequence[Message], *, asks: bool = True, **told: Any) -> str:
        """A conversation as text.

        Args:
            messages: each with ``role`` and ``content``.
            asks: end with what begins an answer.
            told: further variables of the template, such as ``tools``.

        Raises:
            InvalidRequestError: the template refuses the conversation.
        """
        return self._run(messages, asks=asks, mark="", told=told)

    def with_answers(self, messages: Sequence[Message]) -> Rendered:
        """A conversation as text, and where in it the assistant speaks.

        Raises:
            InvalidRequestError: the template refuses it, or where the answers stand cannot be told.
        """
        if "generation" in self._blocks:
            return self._marked(messages)
        whole, found = self.render(messages, asks=False), []
        for at, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self.render(messages[:at], asks=True) if at else ""
                through = self._without_what_follows(self.render(messages[: at + 1], asks=False))
                if not (whole.startswith(through) and through.startswith(before) and len(through) > len(before)):
                    raise InvalidRequestError(
                        f"the chat template writes answer {at + 1} otherwise once more messages follow",
                        expected="a template that only goes on, or one with {% generation %} blocks",
                        do="Make a row of each answer, or mark answers in chat_template.jinja.",
                    )
                found.append((len(before), len(through)))
        return Rendered(whole, tuple(found))

    def _without_what_follows(self, text: str) -> str:
        """White space that the template puts after the token that ends an answer is nothing to be taught."""
        bare = text.rstrip()
        return bare if bare.endswith(self._ends) else text

    def _marked(self, messages: Sequence[Message]) -> Rendered:
        mark = f"\0{uuid4().hex}\0"
        parts = self._run(messages, asks=False, mark=mark, told={}).split(mark)
        places, at = [], 0
        for number, part in enumerate(parts):
            if number % 2:
                places.append((at, at + len(part)))
            at += len(part)
        return Rendered("".join(parts), tuple(places))

    @cached_property
    def _blocks(self) -> frozenset[str]:
        words = self._source.replace("{%-", "{%").replace("{%+", "{%").split("{%")
        return frozenset(word.split()[0] for word in words[1:] if word.split())

    @cached_property
    def _template(self) -> Any:
        sandbox = require("jinja2.sandbox", extra="generate")
        environment = sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_generation_block(), "jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            return environment.from_string(self._source)
        except Exception as error:  # Jinja's own, and Python's for what is nested too deep
            raise CheckpointError(f"the chat template is malformed: {error}", do="Use the checkpoint's own.") from error

    def _run(self, messages: Sequence[Message], *, asks: bool, mark: str, told: Mapping[str, Any]) -> str:
        given = {"messages": list(messages), "add_generation_prompt": asks, "penjing_mark": mark}
        try:
            text: str = self._template.render(**self._specials, **given, **told)
        except (CheckpointError, InvalidRequestError):
            raise
        except Exception as error:  # a template may raise anything on what it did not foresee
            raise InvalidRequestError(
                f"the chat template refuses these messages: {error}", expected="what the model was taught on"
            ) from error
        return text


def special_tokens(tokenizer: Path) -> dict[str, str]:
    """``bos_token`` and so on, as the files beside a ``tokenizer.json`` name them.

    Raises:
        CheckpointError: a file is malformed.
    """
    named = _object(tokenizer.with_name(_MAP)) | _object(tokenizer.with_name(_CONFIG))
    return {name: _content(named[name]) for name in _NAMES if named.get(name)}


def _generation_block() -> type[Any]:
    """Jinja's tag ``{% generation %}``: what it holds is put between the marks of ``penjing_mark``."""
    nodes = require("jinja2.nodes", extra="generate")
    extension: Any = require("jinja2.ext", extra="generate").Extension

    class Generation(extension):  # type: ignore[misc]
        tags = frozenset({"generation"})

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            call = self.call_method("_between", [nodes.Name("penjing_mark", "load")])
            return nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _between(self, mark: str, caller: Any) -> str:
            return f"{mark}{caller()}{mark}"

    return Generation


def _refuse(message: str) -> None:
    raise InvalidRequestError(f"the chat template refuses these messages: {message}")


def _now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005  local time, as the template's authors meant it


def _to_json(value: Any, *, ensure_ascii: bool = False, indent: int | None = None, **others: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **others)


def _content(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token)


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}", expected="a tokenizer's file") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object", expected="a tokenizer's file")
    return content
