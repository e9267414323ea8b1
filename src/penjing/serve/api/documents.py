"""JSON bodies for the dialects that read JSON strictly: UTF-8, one value, no NaN.

TensorFlow Serving's reader is its own (:mod:`.tensorflow_serving.parsing`): it must err where RapidJSON
errs. Promise: whatever the bytes are, reading them ends in a document or in an error that says where.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from penjing.core.errors import FieldError, MalformedError


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
LONG_BODY_BYTES = 64 << 10  # from here on a body is read off the event loop
_SHOWN_CHARACTERS = 80
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
Kind = TypeVar("Kind")


def parse_object(body: bytes | memoryview) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        MalformedError: it is empty, not UTF-8, not JSON, or not an object.
    """
    if not body:
        raise MalformedError("the body is empty", expected="a JSON object")
    try:
        value = _DECODER.decode(str(body, "utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError(f"the body is not UTF-8 at byte {error.start}", expected="JSON in UTF-8") from error
    except RecursionError as error:
        raise MalformedError("the body is nested too deeply", expected="a JSON object") from error
    except ValueError as error:  # Python bounds the digits of an integer too
        raise MalformedError(f"the body is not JSON: {error}", expected="a JSON object") from error
    if not isinstance(value, dict):
        raise MalformedError(f"the body is {shown(value)}", expected="a JSON object")
    return value


def field(document: Mapping[str, Any], name: str, kind: type[Kind], *, where: str = "") -> Kind:
    """A field that has to be there.

    Args:
        document: what was sent.
        name: of the field.
        kind: the type its value must have; a bool is no int.
        where: the field that ``document`` is the value of.

    Raises:
        FieldError: it is absent, or of another type.
    """
    path = f"{where}.{name}" if where else name
    if name not in document:
        raise FieldError(f"{path} is absent", field=path, expected=_KINDS[kind])
    value = document[name]
    if type(value) is not kind:
        raise FieldError(f"{path} is {shown(value)}", field=path, expected=_KINDS[kind])
    return value


def optional(document: Mapping[str, Any], name: str, kind: type[Kind], *, where: str = "") -> Kind | None:
    """A field that may be absent or null. See :func:`field`."""
    if document.get(name) is None:
        return None
    return field(document, name, kind, where=where)


def checked_text(text: str, *, where: str) -> str:
    """The text, unless it holds half of a surrogate pair, which no tokenizer could read.

    Raises:
        FieldError: it does.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FieldError(
            f"{where} holds half a surrogate pair at character {error.start}", field=where, expected="whole characters"
        ) from error
    return text


def shown(value: Any) -> str:
    """A value for error messages, cut to a line."""
    if isinstance(value, list | dict) and len(value) > _SHOWN_CHARACTERS:  # the rest is not shown anyway
        value = value[:_SHOWN_CHARACTERS] if isinstance(value, list) else dict(list(value.items())[:_SHOWN_CHARACTERS])
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
