from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.data.examples import Row, TextExample
from penjing.data.recipe import DataRecipe
from penjing.data.text import take_text_rows, unlabelled_texts


def rows(*fields):
    return iter([Row(one, f"a.jsonl:{number}") for number, one in enumerate(fields, start=1)])


def take(*fields, **keys):
    return take_text_rows(rows(*fields), "a.jsonl", DataRecipe(train="a.jsonl", **keys))


def test_labels_become_strings_and_texts_stay():
    intake = take(
        {"text": " 好 ", "label": " a b\t"},
        {"text": "x", "label": 3},
        {"text": "x", "label": True},
        {"text": "x", "label": 0.5},
    )
    assert [(e.text, e.label) for e in intake.examples] == [(" 好 ", "a b"), ("x", "3"), ("x", "True"), ("x", "0.5")]
    assert intake.examples[0].origin == "a.jsonl:1"


def test_pairs():
    (example,) = take({"premise": "p", "hypothesis": "h", "label": "entails"}).examples
    assert example == TextExample("p", "entails", "a.jsonl:1", pair="h")
    (example,) = take({"q": "p", "a": "h", "label": "x"}, text="q", pair="a").examples
    assert example.pair == "h"


def test_blank_texts_are_dropped_and_noted():
    intake = take({"text": "a", "label": 1}, {"text": " \n　", "label": 1}, {"text": None, "label": 1})
    assert (len(intake.examples), intake.blank) == (1, ["a.jsonl:2", "a.jsonl:3"])
    intake = take({"text": "a", "label": 1, "p": "b"}, {"text": "a", "label": 1, "p": ""}, pair="p", text="text")
    assert intake.blank == ["a.jsonl:2"]


def test_blank_texts_can_be_an_error():
    with pytest.raises(DataError, match=r"has 1 row with a blank text: a\.jsonl:2;.*on_empty: drop"):
        take({"text": "a", "label": 1}, {"text": "", "label": 1}, on_empty="error")


def test_missing_labels():
    bad = [{"text": "a", "label": 1}, *({"text": "a", "label": nothing} for nothing in (None, " ", float("nan")))]
    with pytest.raises(DataError, match=r"has 3 rows without a label: a\.jsonl:2, a\.jsonl:3, a\.jsonl:4;"):
        take(*bad)
    assert take(*bad, on_unlabelled="drop").unlabelled == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]


def test_only_the_first_faults_are_listed():
    with pytest.raises(DataError, match=r"has 9 rows without a label: (a\.jsonl:\d, ){4}a\.jsonl:5 …"):
        take(*[{"text": "a", "label": None}] * 9)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([], "a.jsonl has no rows"),
        ([{"text": "", "label": 1}], "no row with both a text and a label"),
        ([{"text": "a", "label": 1}, {"text": "a"}], "a.jsonl:2 has no 'label'; it has 'text'"),
        ([{"text": "a", "label": 1}, {}], "a.jsonl:2 has no 'text'; it has nothing"),
        ([{"text": ["a"], "label": 1}], "column 'text' holds a list; expected text"),
        ([{"text": 3, "label": 1}], "column 'text' holds a int; expected text"),
        ([{"text": "a", "label": [1, 2]}], "column 'label' holds a list; expected one label a row"),
        ([{"text": "a\ud83d", "label": 1}], r"half a surrogate pair \(\\ud83d\)"),
        ([{"text": "a", "label": "\udc00"}], "column 'label' holds half a surrogate pair"),
    ],
)
def test_what_is_not_labelled_text(fields, says):
    with pytest.raises(DataError, match=says):
        take(*fields)


def test_texts_alone_for_prediction():
    texts = unlabelled_texts(rows({"text": "a", "label": [1]}, {"text": ""}), "a.jsonl", DataRecipe(train="a.jsonl"))
    assert list(texts) == [TextExample("a", None, "a.jsonl:1"), TextExample("", None, "a.jsonl:2")]
