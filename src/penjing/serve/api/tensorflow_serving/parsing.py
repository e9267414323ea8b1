"""JSON as RapidJSON reads it: one value, whatever follows it; NaN and Infinity; its words for errors.

Source: ``util/json_tensor.cc`` (ParseJson, JsonValueToString) and ``rapidjson/error/en.h``. Offsets
count bytes. Where Python's reader stops elsewhere than RapidJSON would, the offset is Python's.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from penjing.core.errors import InvalidRequestError
from penjing.serve.api.tensorflow_serving.printing import decimal

_DECODER = json.JSONDecoder()
_SHOWN_BYTES = 256
_BLANK = " \t\n\r"
_COMMA = "Expecting ',' delimiter"
_WORDS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid \\escape": "Invalid escape character in string.",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body begins with.

    Raises:
        InvalidRequestError: it is empty, not JSON, or not an object.
    """
    if not body:
        raise InvalidRequestError("JSON Parse error: The document is empty")
    value = _parse(body)
    if not isinstance(value, dict):
        raise InvalidRequestError(f"JSON Value: {shown(value)} Is not object")
    return value


def shown(value: Any) -> str:
    """A JSON value for error messages, pretty-printed and at most 256 bytes long."""
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, list | dict) and len(value) > _SHOWN_BYTES:  # the rest is not shown anyway
        value = value[:_SHOWN_BYTES] if isinstance(value, list) else dict(list(value.items())[:_SHOWN_BYTES])
    text = json.dumps(value, indent=4, ensure_ascii=False)
    return text.encode("utf-8", "replace")[:_SHOWN_BYTES].decode("utf-8", "ignore")


def _parse(body: bytes) -> Any:
    text, broken_at = _decode(body)
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        return _DECODER.raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        if broken_at is not None:
            raise _fault("Invalid encoding in string.", broken_at) from error
        if start == len(text):
            raise _fault("The document is empty.", len(body)) from error
        raise _fault(_words(error), len(text[: error.pos].encode())) from error
    except RecursionError as error:
        raise InvalidRequestError("JSON Parse error: the document is nested too deeply") from error
    except ValueError as error:  # Python bounds the digits of an integer
        raise InvalidRequestError("JSON Parse error: Number too big to be stored in double.") from error


def _decode(body: bytes) -> tuple[str, int | None]:
    """The text, without a byte order mark, and where it stops being UTF-8."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode(), None
    except UnicodeDecodeError as error:
        return body[: error.start].decode(), error.start


def _words(error: json.JSONDecodeError) -> str:
    if error.msg == _COMMA:
        inside = "object" if _innermost(error.doc[: error.pos]) == "{" else "array"
        return f"Missing a comma or {'}' if inside == 'object' else ']'} after an {inside} {_ITEM[inside]}."
    return next((words for start, words in _WORDS.items() if error.msg.startswith(start)), "Unspecific syntax error.")


_ITEM = {"object": "member", "array": "element"}


def _innermost(text: str) -> str:
    """The bracket that is open at the end of a text."""
    opened: list[str] = []
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        if mark in "[{":
            opened.append(mark)
        elif mark in "]}" and opened:
            opened.pop()
    return opened[-1] if opened else "{"


def _fault(words: str, offset: int) -> InvalidRequestError:
    return InvalidRequestError(f"JSON Parse error: {words} at offset: {offset}")
