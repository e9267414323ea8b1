"""Rows to pairs of texts, with scores or without, or to texts alone; and what is refused."""

import json

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_split, load_splits

TASK = Task.FEATURE_EXTRACTION


@pytest.fixture
def take(tmp_path):
    def load(rows, **settings):
        path = tmp_path / "data.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        recipe = DataRecipe(train=str(path), **settings)
        examples = load_split(str(path), (), task=TASK, recipe=recipe).examples
        return [(one.text, one.pair, one.score) for one in examples]

    return load


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"anchor": "a", "positive": "b"}, ("a", "b", None)),
        ({"sentence1": "a", "sentence2": "b", "score": 4.2}, ("a", "b", 4.2)),
        ({"text1": "你好", "text2": "您好", "label": "1"}, ("你好", "您好", 1.0)),
        ({"question1": "a", "question2": "b", "similarity_score": -1}, ("a", "b", -1.0)),
        ({"text": "a", "label": "sports"}, ("a", None, None)),
        ({"sentence": "a"}, ("a", None, None)),
    ],
)
def test_usual_columns_are_found(take, row, expected):
    assert take([row]) == [expected]


def test_columns_can_be_named(take):
    rows = [{"q": "a", "d": "b", "s": "0.5", "label": "x"}]
    assert take(rows, text="q", pair="d", label="s") == [("a", "b", 0.5)]


def test_blank_texts_and_absent_scores_are_left_out_or_told(take):
    rows = [{"text1": "a", "text2": "b", "score": 1}, {"text1": " ", "text2": "b", "score": 1},
            {"text1": "c", "text2": "d", "score": None}]  # fmt: skip
    with pytest.raises(DataError, match=r"1 row without a label.*on_unlabelled: drop"):
        take(rows)
    assert take(rows, on_unlabelled="drop") == [("a", "b", 1.0)]
    with pytest.raises(DataError, match="blank text"):
        take(rows, on_unlabelled="drop", on_empty="error")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"text1": "a", "text2": "b", "score": "high"}],
            r"data.jsonl:1: column 'score' holds 'high'; expected a numb",
        ),
        ([{"text1": "a", "text2": "b", "score": "inf"}], "expected a number"),
        ([{"text1": "a", "text2": "b", "score": [1]}], "holds a list"),
        ([{"text1": "a", "text2": "b", "score": 1, "label": 2}], "2 columns that could be the label"),
        ([{"text1": "a", "text2": 7}], "holds a int"),
        ([{"x": "a"}], "no column that looks like the text"),
        ([], "has no rows"),
        ([{"text": " "}], "no usable row"),
    ],
)
def test_what_is_no_pair_is_told(take, rows, said):
    with pytest.raises(DataError, match=said):
        take(rows)


def test_scores_that_never_differ_teach_nothing(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"text1": str(at), "text2": "b", "score": 1}) + "\n" for at in range(9)))
    with pytest.raises(DataError, match=r"every pair of .* has the score 1\.0"):
        load_splits(DataRecipe(train=str(path)), TASK)


def test_pairs_are_held_out_whole(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"anchor": f"a{at}", "positive": f"b{at}"}) + "\n" for at in range(20)))
    data = load_splits(DataRecipe(train=str(path)), TASK)
    assert (data.train.rows, data.test.rows, data.labels) == (16, 4, ())
    assert {one.texts for one in data.train.examples}.isdisjoint(one.texts for one in data.test.examples)
