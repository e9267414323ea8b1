from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data.examples import PairExample, Row
from penjing.data.load import load_splits
from penjing.data.multi_label import MultiLabelExample, check_multi_label, take_multi_label_rows
from penjing.data.numbers import check_numbers, take_number_rows
from penjing.data.recipe import DataRecipe
from penjing.data.sampling import strata_of

MULTI = "multi_label_classification"


def rows(fields):
    return iter([Row(one, f"a:{number}") for number, one in enumerate(fields, start=1)])


def take(*fields, **keys):
    return take_multi_label_rows(rows(fields), "a", DataRecipe(train="a", problem_type=MULTI, **keys))


def take_numbers(*fields, **keys):
    return take_number_rows(rows(fields), "a", DataRecipe(train="a", problem_type="regression", **keys))


def labels_of(intake):
    return [example.labels for example in intake.examples]


def test_lists_of_labels():
    intake = take(
        {"text": "好", "labels": ["体育", " b ", 3]},
        {"text": "x", "labels": []},
        {"text": "x", "labels": "a"},
        {"text": "x", "labels": 2},
    )
    assert labels_of(intake) == [("3", "b", "体育"), (), ("a",), ("2",)]
    assert intake.examples[0] == MultiLabelExample("好", ("3", "b", "体育"), "a:1")


def test_labels_parted_by_a_separator():
    intake = take(
        {"text": "x", "tag": "b| a"}, {"text": "x", "tag": "  "}, {"text": "x", "tag": "a"}, label_separator="|"
    )
    assert labels_of(intake) == [("a", "b"), (), ("a",)]


def test_a_column_of_zeros_and_ones_for_each_label():
    intake = take(
        {"text": "x", "a": "1", "b": 0, "c": "True"},
        {"text": "x", "a": 0.0, "b": False, "c": "0"},
        {"text": "x", "a": None, "b": 1, "c": 1},
        label_columns=("a", "b", "c"), on_unlabelled="drop",
    )  # fmt: skip
    assert labels_of(intake) == [("a", "c"), ()]
    assert intake.unlabelled == ["a:3"]


def test_pairs_have_labels_too():
    (example,) = take({"premise": "p", "hypothesis": "h", "label": ["x"]}).examples
    assert example == MultiLabelExample("p", ("x",), "a:1", pair="h")


def test_a_label_that_is_given_twice_counts_once_and_is_told():
    intake = take({"text": "x", "labels": ["a", "b", "a "]}, {"text": "y", "labels": ["b"]})
    assert labels_of(intake) == [("a", "b"), ("b",)]
    assert intake.repeated == ["a:1"]


@pytest.mark.parametrize(
    ("fields", "keys", "said"),
    [
        ({"text": "x", "labels": ["a", " "]}, {}, "a:1: column 'labels' holds a blank label"),
        ({"text": "x", "labels": ["a", None]}, {}, "a blank label"),
        ({"text": "x", "labels": [["a"]]}, {}, "a list as a label"),
        ({"text": "x", "labels": {"a": 1}}, {}, "a dict as a label"),
        ({"text": "x", "labels": [float("nan")]}, {}, "a float as a label"),
        ({"text": "x", "labels": "a||b"}, {"label_separator": "|"}, "Write nothing between two '|'"),
        ({"text": "x", "labels": None}, {}, "without a label"),
        ({"text": "x", "a": 2}, {"label_columns": ("a",)}, "column 'a' holds '2'; expected 1 where the label holds"),
        ({"text": "x", "a": 1}, {"label_columns": ("a", "z")}, "has no column 'z'"),
        ({"text": "x", "kinds": ["a"]}, {}, "no column that looks like the label"),
    ],
)
def test_what_is_wrong_with_labels_is_told(fields, keys, said):
    with pytest.raises(DataError) as told:
        take(fields, **keys)
    assert said in str(told.value)


def test_labels_that_are_always_the_same_teach_nothing():
    with pytest.raises(DataError, match="every row of a has the labels 'x', 'y'"):
        check_multi_label([MultiLabelExample("a", ("x", "y"), "a:1"), MultiLabelExample("b", ("x", "y"), "a:2")], "a")
    with pytest.raises(DataError, match="every row of a has no label"):
        check_multi_label([MultiLabelExample("a", (), "a:1")], "a")


def test_a_list_where_one_label_is_expected_says_what_to_set(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": ["a"]}\n')
    with pytest.raises(DataError, match="set problem_type: multi_label_classification"):
        load_splits(DataRecipe(train=str(path)), Task.TEXT_CLASSIFICATION)


def test_rows_are_held_out_by_their_rarest_label():
    examples = [MultiLabelExample(str(n), ("often", "rare") if n == 3 else ("often",), f"a:{n}") for n in range(5)]
    assert strata_of([*examples, MultiLabelExample("x", (), "a:9")]) == ["often"] * 3 + ["rare", "often", ""]


def test_splits_of_several_labels(tmp_path):
    path = tmp_path / "a.csv"
    lines = [f"text {n},{'|'.join(['甲', '乙'][: n % 3])}" for n in range(60)]
    path.write_text("text,labels\n" + "\n".join(lines), "utf-8")
    data = load_splits(DataRecipe(train=str(path), label_separator="|"), Task.TEXT_CLASSIFICATION, seed=1)
    assert data.labels == ("乙", "甲")
    assert (data.train.rows, data.test.rows) == (48, 12)
    assert {example.labels for example in data.test.examples} == {(), ("甲",), ("乙", "甲")}


def test_numbers_of_texts_and_pairs():
    intake = take_numbers(
        {"text": "好", "score": " 3.5 "}, {"text": "x", "score": -1e3}, {"text": "x", "score": "4e-2"}
    )
    assert [example.score for example in intake.examples] == [3.5, -1000.0, 0.04]
    (example,) = take_numbers({"sentence1": "a", "sentence2": "b", "label": 1}).examples
    assert example == PairExample("a", "b", 1.0, "a:1")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("much", "holds 'much'; expected a finite number"),
        ("3,5", "with a point for decimals"),
        ("nan", "holds 'nan'"),
        ("inf", "holds 'inf'"),
        ("1e39", "holds '1e39'"),
        (None, "without a label"),
        (float("nan"), "without a label"),
        ([1], "holds a list"),
    ],
)
def test_what_is_no_number_is_told(value, said):
    with pytest.raises(DataError) as told:
        take_numbers({"text": "x", "score": value})
    assert said in str(told.value)


def test_numbers_that_are_all_equal_teach_nothing():
    with pytest.raises(DataError, match=r"every row of a has the number 1\.0"):
        check_numbers([PairExample("a", None, 1.0, "a:1"), PairExample("b", None, 1.0, "a:2")], "a")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"label_columns": ("a",), "label": "b"}, "takes the place of label"),
        ({"label_separator": "|", "problem_type": "regression"}, "are of multi_label_classification"),
        ({"label_columns": ("a", "a")}, "one name of its own"),
        ({"label_columns": ("a",), "text": "a"}, "must name different columns"),
        ({"problem_type": "several"}, "multi_label_classification"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, said):
    with pytest.raises(ValueError, match=said):
        DataRecipe(train="a", **keys)


def test_the_problem_follows_from_how_labels_are_given():
    assert DataRecipe(train="a").problem == "single_label_classification"
    assert DataRecipe(train="a", label_separator=";").problem == MULTI
    assert DataRecipe(train="a", label_columns=("x",)).problem == MULTI
    assert DataRecipe(train="a", label_separator=";").answering(None).problem == "single_label_classification"
