"""What a request for text may say of its answers, in OpenAI's words.

What differs: ``top_k`` and ``repetition_penalty`` are taken too, as other servers do. What the engine cannot do
(penalties by frequency, ``logit_bias``, alternatives to the tokens written) is refused, never passed over.

Source: openai/openai-openapi, ``CreateCompletionRequest`` and ``CreateChatCompletionRequest``; the messages as its API
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from penjing.core.errors import FieldError, UnsupportedError
from penjing.engines import GenerationOptions
from penjing.serve.api.documents import checked_text, optional
from penjing.serve.writing.request import Wish

_MOST_ANSWERS, _MOST_STOPS = 128, 4
_LARGEST_SEED = 1 << 63
# Field → the only values of it that change nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logit_bias": ({}, None),
    "suffix": ("", None),
    "tools": ([], None),
    "functions": ([], None),
    "tool_choice": ("none", "auto", None),
    "response_format": ({"type": "text"}, None),
    "modalities": (["text"], None),
    "audio": (None,),
    "prediction": (None,),
}


@dataclass(frozen=True, slots=True)
class Form:
    """In what form the answers are wanted.

    Attributes:
        streams: bit by bit.
        tells_usage: at the end of a stream.
        logprobs: of the tokens written.
    """

    streams: bool
    tells_usage: bool
    logprobs: bool


def wish_of(document: Mapping[str, Any], *, max_tokens: int | None) -> Wish:
    """What is wanted of each prompt.

    Args:
        document: the body.
        max_tokens: what it says of that, or the call's own default.

    Raises:
        FieldError: a value of the wrong kind or out of its range.
        UnsupportedError: something that the engine does not do.
    """
    for name, nothing in _REFUSED.items():
        if document.get(name) not in nothing:
            raise UnsupportedError(f"'{name}' is not supported by this server", do="Leave it out.")
    temperature = number(document, "temperature", low=0, high=2, default=1.0)
    options = GenerationOptions(
        temperature=temperature,
        top_p=number(document, "top_p", low=0, high=1, default=1.0) or 1e-6,  # 0 is the most probable token
        top_k=_whole(document, "top_k", low=1, high=1 << 31),
        repetition_penalty=number(document, "repetition_penalty", low=0.01, high=100, default=1.0),
        seed=_whole(document, "seed", low=-_LARGEST_SEED, high=_LARGEST_SEED - 1),
        logprobs=True,
    )
    answers = _whole(document, "n", low=1, high=_MOST_ANSWERS) or 1
    return Wish(_seeded(options), max_tokens, answers, _stops(document))


def form_of(document: Mapping[str, Any], *, logprobs: bool) -> Form:
    """In what form the answers are wanted.

    Raises:
        FieldError: a value of the wrong kind.
    """
    streams = optional(document, "stream", bool) or False
    options = optional(document, "stream_options", dict)
    if options is not None and not streams:
        raise FieldError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", field="stream_options"
        )
    tells = optional(options or {}, "include_usage", bool, where="stream_options") or False
    return Form(streams, tells, logprobs)


def limit(document: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens, at least 1.

    Raises:
        FieldError: something else.
    """
    return _whole(document, name, low=1, high=1 << 31)


def number(document: Mapping[str, Any], name: str, *, low: float, high: float, default: float) -> float:
    """A number within bounds.

    Raises:
        FieldError: something else.
    """
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(f"Invalid type for '{name}': expected a decimal.", field=name)
    return float(_within(value, name, low, high))


def _whole(document: Mapping[str, Any], name: str, *, low: int, high: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise FieldError(f"Invalid type for '{name}': expected an integer.", field=name)
    return int(_within(value, name, low, high))


def _within(value: float, name: str, low: float, high: float) -> float:
    for wrong, words, bound in ((value < low, "minimum", low), (value > high, "maximum", high)):
        if wrong:
            kind = "decimal" if name in ("temperature", "top_p", "repetition_penalty") else "integer"
            side = "below" if words == "minimum" else "above"
            raise FieldError(
                f"Invalid '{name}': {kind} {side} {words} value. Expected a value {'>=' if side == 'below' else '<='} "
                f"{bound}, but got {value} instead.",
                field=name,
            )
    return value


def _seeded(options: GenerationOptions) -> GenerationOptions:
    """The engine's seeds are not negative."""
    if options.seed is None or options.seed >= 0:
        return options
    return replace(options, seed=options.seed + (1 << 64))


def _stops(document: Mapping[str, Any]) -> tuple[str, ...]:
    value = document.get("stop")
    given: Any = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise FieldError("Invalid type for 'stop': expected a string or a list of strings.", field="stop")
    if len(given) > _MOST_STOPS:
        raise FieldError(
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}, but got an array "
            f"with length {len(given)} instead.",
            field="stop",
        )
    if "" in given:
        raise FieldError("Invalid 'stop': empty string.", field="stop")
    return tuple(checked_text(one, where="stop") for one in given)
