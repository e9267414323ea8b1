"""Settings mean what they say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core.errors import RecipeError
from penjing.core.plain_yaml import read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("# only a comment", None), ("~", None), ("null", None), ("a:", {"a": None}),
        ("true", True), ("False", False), ("yes", "yes"), ("no", "no"), ("off", "off"), ("y", "y"),
        ("3", 3), ("-3", -3), ("+3", 3), ("1_000", 1000), ("0x1F", 31), ("0", 0), ("010", "010"), ("0b11", "0b11"),
        ("1.5", 1.5), ("1.0e-5", 1e-5), (".5", 0.5), (".inf", math.inf), ("1e-5", "1e-5"), ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"), ("2026-13-45", "2026-13-45"), ("1.2.3", "1.2.3"), ("1:30.5", "1:30.5"),
        ("'3'", "3"), ('"a\\tb"', "a\tb"), ("a b", "a b"), ("a=b", "a=b"), ("<<", "<<"), ("=", "="), ("标签", "标签"),
        ("[a, 1, {b: c}]", ["a", 1, {"b": "c"}]),
        ("a: {b: [1, 2]}\nc: |\n  x\n  y\n", {"a": {"b": [1, 2]}, "c": "x\ny\n"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)  # fmt: skip
def test_what_a_text_means(text, value):
    assert read_yaml(text, origin="here") == value


def test_not_a_number_is_one():
    assert math.isnan(read_yaml(".nan", origin="here"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[*a]", r"aliases \(\*a\) are not allowed"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        ("!!python/object/apply:os.system [ls]", r"tags \(tag:yaml\.org,2002:python/object/apply:os\.system\)"),
        ("a: !!binary aGk=", "tags"),
        ("!!str 3", "tags"),
        ("! 3", "tags"),
        ("a: !include other.yaml", "tags"),
        ("a: 1\nb: 2\na: 3", "gives a twice, from line 1"),
        ("x:\n  y: {b: 2, 'b': 3}", "gives b twice, from line 2"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: [1, 2", "stream end"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: \x00", "special characters"),
        ("\ta: 1", "cannot start any token"),
        ("{[a]: 1}", "unhashable"),
        ("9" * 5000, "4300 digits"),
        ("0x_", "invalid literal"),
    ],
)
def test_what_is_more_than_values_is_refused(text, message):
    with pytest.raises(RecipeError, match=rf"(?s)here is not YAML: .*{message}.*expected plain YAML"):
        read_yaml(text, origin="here")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 3000, "- " * 5000 + "x"])
def test_a_text_nested_without_end_is_refused(text):
    with pytest.raises(RecipeError, match="here is nested too deeply"):
        read_yaml(text, origin="here")


words = st.text(max_size=8) | st.sampled_from(
    ["no", "yes", "null", "~", "010", "1:30", "1e5", "2026-01-02", "=", "<<", ""]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(value=values, flow=st.booleans())
def test_what_was_written_is_read_back_as_it_was(value, flow):
    assert read_yaml(write_yaml(value, flow=flow), origin="here") == value


def test_what_people_read_is_written_in_its_script():
    assert write_yaml({"标签": "好"}) == "标签: 好\n"
