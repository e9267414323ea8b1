"""JSON bodies are read strictly, and every fault says where it is."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.errors import FieldError, MalformedError
from penjing.serve.api.documents import checked_text, field, optional, parse_object, shown

DOCUMENT = {"text": "a", "number": 1, "truth": True, "nothing": None}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b" ", "not JSON"),
        (b"[]", r"the body is \[\]"),
        (b"1", "the body is 1"),
        (b'{"a": 1} x', "not JSON: Extra data"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_bodies_that_are_none(body, said):
    with pytest.raises(MalformedError, match=said):
        parse_object(body)


@given(st.dictionaries(st.text(), st.integers() | st.text(st.characters(codec="utf-8")) | st.none()))
def test_what_json_writes_is_read(document):
    assert parse_object(memoryview(json.dumps(document).encode())) == document


@given(st.binary(max_size=40))
def test_any_bytes_are_a_document_or_malformed(body):
    with suppress(MalformedError):
        assert isinstance(parse_object(body), dict)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("other", str, "at.other is absent; expected a string"),
        ("text", int, 'at.text is "a"; expected a whole number'),
        ("truth", int, "at.truth is true; expected a whole number"),
        ("number", bool, "at.number is 1; expected true or false"),
        ("nothing", list, "at.nothing is null; expected a list"),
    ],
)
def test_a_field_that_is_not_what_it_should_be(name, kind, said):
    with pytest.raises(FieldError, match=said) as caught:
        field(DOCUMENT, name, kind, where="at")
    assert caught.value.field == f"at.{name}"


def test_a_field_that_may_be_absent():
    assert optional(DOCUMENT, "text", str) == "a"
    assert optional(DOCUMENT, "nothing", str) is None
    assert optional(DOCUMENT, "other", str) is None
    with pytest.raises(FieldError):
        optional(DOCUMENT, "number", str)


def test_half_a_surrogate_pair_is_no_text():
    assert checked_text("今天 🚀", where="inputs") == "今天 🚀"
    with pytest.raises(FieldError, match="inputs holds half a surrogate pair at character 1"):
        checked_text("a\ud83d", where="inputs")


def test_values_are_shown_on_a_line_however_large():
    assert shown("é") == '"\\u00e9"'
    assert len(shown([7] * 10**6)) < 100
    assert len(shown({str(number): "x" * 50 for number in range(1000)})) < 100
    assert shown(["a" * 10**5]).endswith("…")
