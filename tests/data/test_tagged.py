"""Rows to tagged examples: three forms, whole words, and what is refused."""

import json

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_split, load_splits

TASK = Task.TOKEN_CLASSIFICATION


@pytest.fixture
def split(tmp_path):
    def load(rows, *, labels=None, suffix=".jsonl", **settings):
        path = tmp_path / f"data{suffix}"
        content = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(content, encoding="utf-8")
        recipe = DataRecipe(train=str(path), **settings)
        return load_split(str(path), labels or ("LOC", "PER"), task=TASK, recipe=recipe).examples

    return load


def named(example):
    return [
        (example.text[example.words[first][0] : example.words[last - 1][1]], label)
        for first, last, label in example.entities
    ]


def test_words_with_tags(split):
    (one,) = split([{"tokens": ["Ann", "saw", "New", "York", "."], "ner_tags": ["B-PER", "O", "B-LOC", "I-LOC", "O"]}])
    assert one.text == "Ann saw New York ."
    assert named(one) == [("Ann", "PER"), ("New York", "LOC")]


def test_chinese_words_are_joined_without_spaces(split):
    (one,) = split("小\tB-PER\n明\tI-PER\n去\tO\nNew\tB-LOC\nYork\tI-LOC\n玩\tO\n", suffix=".conll")
    assert one.text == "小明去 New York 玩"
    assert named(one) == [("小明", "PER"), ("New York", "LOC")]


@pytest.mark.parametrize(
    "spans",
    [
        [[0, 3, "PER"], [8, 16, "LOC"]],
        [{"start": 8, "end": 17, "label": "LOC"}, {"start": 0, "end": 3, "label": "PER"}],  # a space at its end
        {"PER": {"Ann": [[0, 2]]}, "LOC": {"New York": [[8, 15]]}},  # CLUENER: the last character included
    ],
)
def test_texts_with_spans(split, spans):
    (one,) = split([{"text": "Ann saw New York again", "label": spans}])
    assert named(one) == [("Ann", "PER"), ("New York", "LOC")]
    assert one.labels == ("PER", "LOC")


def test_spans_in_text_with_emoji_and_right_to_left_script_count_characters(split):
    text = "🙂 Ann في باريس"
    (one,) = split([{"text": text, "spans": [[2, 5, "PER"], [9, 14, "LOC"]]}])
    assert named(one) == [("Ann", "PER"), ("باريس", "LOC")]


INSIDE = [{"text": "Annabel saw Rome", "spans": [[0, 3, "PER"]]}, {"text": "in Rome", "spans": [[3, 7, "LOC"]]}]
OVERLAP = [
    {"text": "New York Times", "spans": [[0, 8, "LOC"], [0, 14, "PER"]]},
    {"text": "in Rome", "spans": [[3, 7, "LOC"]]},
]


@pytest.mark.parametrize(("rows", "said"), [(INSIDE, "begins or ends inside a word"), (OVERLAP, "overlaps another")])
def test_entities_that_do_not_fit_are_refused_widened_or_left_out(split, rows, said):
    with pytest.raises(DataError, match=rf"data\.jsonl:1: the .* {said}.*on_misaligned: widen"):
        split(rows)
    widened = split(rows, on_misaligned="widen")
    assert [named(one) for one in widened] == [
        [("Annabel", "PER")] if rows is INSIDE else [("New York Times", "PER")],
        [("Rome", "LOC")],
    ]
    assert [one.text for one in split(rows, on_misaligned="drop")] == ["in Rome"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "2 words and 1 tags"),
        ({"tokens": ["a"], "tags": ["PER"]}, "'PER' is no tag.*expected O, or a prefix and a label"),
        ({"tokens": ["a"], "tags": [3]}, "holds no list of strings"),
        ({"tokens": "a b", "tags": ["O"]}, "holds no list of strings"),
        ({"tokens": ["\ud800"], "tags": ["O"]}, "half a surrogate pair"),
        ({"text": "Ann", "spans": [[0, 9, "PER"]]}, "outside its text; expected 0 ≤ begin < end ≤ 3"),
        ({"text": "Ann", "spans": [[2, 2, "PER"]]}, "outside its text"),
        ({"text": "Ann", "spans": [[0, 3]]}, "has the span"),
        ({"text": "Ann", "spans": [[0.5, 3, "PER"]]}, "has the span.*whole numbers"),
        ({"text": "Ann", "spans": [{"start": 0, "end": 3}]}, "has the span"),
        ({"text": "Ann", "spans": "PER"}, "holds a str"),
        ({"text": "Ann", "spans": {"PER": [[0, 2]]}}, "has the span"),
        ({"words": ["a"]}, "no column that looks like the tags"),
        ({"text": "Ann"}, "no column that looks like the label"),
    ],
)
def test_what_is_no_tagged_row_is_told(split, row, said):
    with pytest.raises(DataError, match=said):
        split([row])


def test_blank_rows_are_left_out_and_words_of_blanks_too(split):
    rows = [{"tokens": [" ", "Ann"], "tags": ["O", "B-PER"]}, {"tokens": [], "tags": []}]
    (one,) = split(rows)
    assert (one.text, named(one)) == ("Ann", [("Ann", "PER")])


def test_splits_with_labels_and_a_report(tmp_path):
    lines = [f"Ann{number} B-PER\nsaw O\nRome{number} B-LOC\n" for number in range(20)]
    (tmp_path / "a.conll").write_text("\n".join(lines))
    data = load_splits(DataRecipe(train=str(tmp_path / "a.conll"), test_fraction=0.25), TASK, seed=1)
    assert (data.train.rows, data.test.rows, data.labels) == (15, 5, ("LOC", "PER"))
    assert data.report.splits[0].labels == {"LOC": 15, "PER": 15}
    again = load_splits(DataRecipe(train=str(tmp_path / "a.conll"), test_fraction=0.25), TASK, seed=1)
    assert again.train.sha256 == data.train.sha256


def test_data_without_entities_and_labels_that_training_never_sees_are_refused(tmp_path):
    plain, odd = tmp_path / "plain.conll", tmp_path / "odd.conll"
    plain.write_text("\n".join(f"w{number} O\n" for number in range(9)))
    odd.write_text("\n".join(f"x{number} B-ORG\n" for number in range(3)))
    with pytest.raises(DataError, match=r"no row of .* has an entity"):
        load_splits(DataRecipe(train=str(plain)), TASK)
    known = tmp_path / "known.conll"
    known.write_text("\n".join(f"w{number} B-PER\n" for number in range(9)))
    with pytest.raises(DataError, match=r"test has labels that training never sees: 'ORG' \(3 rows\)"):
        load_splits(DataRecipe(train=str(known), test=str(odd)), TASK)
