from __future__ import annotations

import json
from collections import Counter

import pytest

from penjing.core.errors import DataError
from penjing.data import DataRecipe, load_text_split, load_text_splits, read_texts


@pytest.fixture
def table(write):
    """Write ``[(text, label), …]`` as CSV and return its path as a string."""

    def _table(name, rows):
        return str(write(name, "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)))

    return _table


def numbered(count, labels=("a", "b"), start=0, word="text"):
    return [(f"{word} {number}", labels[number % len(labels)]) for number in range(start, start + count)]


def texts(split):
    return [example.text for example in split.examples]


def test_three_sources(table):
    recipe = DataRecipe(
        train=table("train.csv", numbered(6)),
        validation=table("dev.csv", numbered(2, start=10)),
        test=table("test.csv", numbered(4, start=20)),
    )
    data = load_text_splits(recipe)
    assert (data.train.rows, data.validation.rows, data.test.rows) == (6, 2, 4)
    assert (data.labels, data.train.name, data.test.source) == (("a", "b"), "train", recipe.test)
    assert list(data.report.remarks()) == []


def test_test_and_validation_are_held_out_by_seed(table):
    rows = numbered(100, labels=("a", "a", "a", "b"))
    recipe = DataRecipe(train=table("all.csv", rows), test_fraction=0.2, validation_fraction=0.1)
    data, again, other = load_text_splits(recipe, 1), load_text_splits(recipe, 1), load_text_splits(recipe, 2)
    assert data == again
    assert data.test.sha256 != other.test.sha256
    assert (data.train.rows, data.validation.rows, data.test.rows) == (72, 8, 20)
    assert Counter(e.label for e in data.test.examples) == {"a": 15, "b": 5}
    assert sorted(texts(data.train) + texts(data.validation) + texts(data.test)) == sorted(text for text, _ in rows)
    assert "test: 20 rows held out of train, each label by its share, seed 1" in data.report.notes


def test_copies_stay_on_one_side_when_held_out(table):
    rows = [(f"{'  ' * copy}Text {number}".upper() if copy else f"text {number}", "ab"[number % 2])
            for number in range(40) for copy in range(2)]  # fmt: skip
    data = load_text_splits(DataRecipe(train=table("all.csv", rows), test_fraction=0.5))
    assert data.report.leaks == ()
    assert data.train.rows + data.test.rows == 80
    assert [split.repeats for split in data.report.splits] == [20, 20]


def test_rare_labels_stay_in_train(table):
    data = load_text_splits(DataRecipe(train=table("all.csv", [*numbered(20), ("lonely", "rare")]), test_fraction=0.5))
    assert "lonely" in texts(data.train)


def test_too_few_to_hold_out(table):
    with pytest.raises(DataError, match=r"2 distinct texts, too few to hold out a test split.*Give test:"):
        load_text_splits(DataRecipe(train=table("all.csv", [("x", "a"), ("y", "b")])))


LEAKY = [("Shared  ONE", "a"), ("shared two", "b")]


@pytest.fixture
def leaky(table):
    return {
        "train": table("train.csv", [*numbered(6), *LEAKY]),
        "validation": table("dev.csv", [("shared one", "a"), ("text 0", "a"), ("only dev", "b")]),
        "test": table("test.csv", [("shared one", "a"), ("shared TWO", "b"), ("only test", "a")]),
    }


def test_leaks_are_dropped_from_train_and_validation_never_from_test(leaky):
    data = load_text_splits(DataRecipe(**leaky))
    assert texts(data.train) == [f"text {number}" for number in range(1, 6)]
    assert texts(data.validation) == ["text 0", "only dev"]
    assert texts(data.test) == ["shared one", "shared TWO", "only test"]
    found = [(leak.split, leak.also_in, leak.rows, leak.dropped) for leak in data.report.leaks]
    assert found == [("validation", "test", 1, True), ("train", "test", 2, True), ("train", "validation", 1, True)]
    assert data.report.leaks[1].first == (f"{leaky['train']}:8", f"{leaky['train']}:9")
    assert "train: 2 rows also in test (left out), such as" in str(data.report)


def test_leaks_can_be_kept_and_are_reported(leaky):
    data = load_text_splits(DataRecipe(**leaky, on_leak="report"))
    assert (data.train.rows, data.validation.rows) == (8, 3)
    assert "KEPT: scores will flatter" in str(data.report)


def test_leaks_can_be_an_error(leaky):
    with pytest.raises(DataError, match=r"validation shares 1 of its rows with test: .*dev\.csv:2.*on_leak: drop"):
        load_text_splits(DataRecipe(**leaky, on_leak="error"))


def test_train_that_is_all_test(table):
    path = table("all.csv", numbered(4))
    with pytest.raises(DataError, match="every text of train is in test too"):
        load_text_splits(DataRecipe(train=path, test=path))


def test_one_label(table):
    with pytest.raises(DataError, match=r"every row of .*all\.csv has the label 'a'; expected at least two"):
        load_text_splits(DataRecipe(train=table("all.csv", numbered(9, labels="a"))))


@pytest.fixture
def strange(table):
    rows = [*numbered(4, start=50), ("odd", "c"), ("odder", "c"), ("oddest", "d")]
    return {"train": table("train.csv", numbered(6)), "test": table("test.csv", rows)}


def test_unseen_labels_are_listed(strange):
    says = r"test has labels that training never sees: 'c' \(2 rows\), 'd' \(1 rows\); expected labels among 'a', 'b'"
    with pytest.raises(DataError, match=says):
        load_text_splits(DataRecipe(**strange))


def test_unseen_labels_can_be_dropped(strange):
    data = load_text_splits(DataRecipe(**strange, on_unseen_label="drop"))
    assert (data.test.rows, data.report.splits[1].unseen_dropped) == (4, 3)


def test_dropping_every_row_is_still_an_error(table):
    recipe = DataRecipe(
        train=table("train.csv", numbered(6)),
        test=table("test.csv", numbered(2, labels="c", start=9)),
        on_unseen_label="drop",
    )
    with pytest.raises(DataError, match="test has labels that training never sees"):
        load_text_splits(recipe)


def test_limits(table):
    train, test = table("train.csv", [*numbered(90), ("lonely", "rare")]), table("test.csv", numbered(50, start=100))
    recipe = DataRecipe(train=train, test=test, limit_train_rows=9, limit_eval_rows=10)
    data = load_text_splits(recipe, 3)
    assert Counter(e.label for e in data.train.examples) == {"a": 4, "b": 4, "rare": 1}
    assert data.test.rows == 10
    assert texts(data.test) == sorted(texts(data.test), key=lambda text: int(text.split()[1]))
    assert data.report.notes[0] == "train: 9 of 91 rows taken, each label by its share, seed 3"
    with pytest.raises(DataError, match="limit_train_rows is 2; expected at least 3"):
        load_text_splits(DataRecipe(train=train, test=test, limit_train_rows=2))


def test_whole_number_labels_are_ordered_as_numbers(table):
    rows = numbered(24, labels=[str(number) for number in (10, 9, 2, -1)])
    assert load_text_splits(DataRecipe(train=table("a.csv", rows))).labels == ("-1", "2", "9", "10")
    rows = numbered(24, labels=["10", "9", "two", "坏"])
    assert load_text_splits(DataRecipe(train=table("b.csv", rows))).labels == ("10", "9", "two", "坏")


def test_the_report_counts_and_is_plain_data(write, table):
    lines = [
        "text,label",
        "twice,a",
        "TWICE,a",
        "split,a",
        "split,b",
        " ,a",
        "caf\xe9,b",
        *(f"t{n},a" for n in range(30)),
    ]
    train = str(write("train.csv", "\n".join(lines), "latin-1"))
    recipe = DataRecipe(
        train=train, test=table("test.csv", [("x", "a"), ("long " * 20, "b")]), encoding_errors="replace"
    )
    report = load_text_splits(recipe).report
    counted = report.splits[0]
    assert (counted.rows, counted.labels, counted.blank_dropped) == (35, {"a": 33, "b": 2}, 1)
    assert (counted.repeats, counted.conflicts, counted.replaced) == (2, 1, 1)
    assert counted.first_conflicts == (f"{train}:4",)
    assert report.splits[1].characters.longest == 100
    assert json.loads(json.dumps(report.model_dump(mode="json")))["splits"][0]["rows"] == 35
    shown = str(report)
    assert shown.startswith("train            35 rows · 2 labels, each 2–33 times · ")
    for line in (
        "train: 1 row left out for a blank text",
        "train: 2 rows with the text of an earlier row",
        "train: 1 row with undecodable bytes, shown as U+FFFD",
        f"train: texts under several labels: 1, such as {train}:4",
        "train: labels are uneven; 'b' is given 2 times of 35",
    ):
        assert f"  ! {line}\n" in shown + "\n"


def test_pairs_are_told_apart_by_both_texts(write):
    content = "sentence1,sentence2,label\na,b,1\na,c,0\na b,c,1\na,b c,0\nx,y,1\nz,y,0\n"
    data = load_text_splits(DataRecipe(train=str(write("a.csv", content)), test_fraction=0.3))
    assert data.report.splits[0].repeats == 0
    assert all(example.pair for example in data.train.examples)


def test_one_split_for_a_model_that_knows_its_labels(strange):
    with pytest.raises(DataError, match="'c'"):
        load_text_split(strange["test"], ("a", "b"))
    recipe = DataRecipe(train="not read", on_unseen_label="drop", limit_eval_rows=2)
    split = load_text_split(strange["test"], ("a", "b"), recipe=recipe)
    assert (split.name, split.source, split.rows) == ("test", strange["test"], 2)


def test_texts_without_labels(write):
    path = write("a.csv", "id,text\n1,好\n2,\n")
    assert [(e.text, e.label) for e in read_texts(str(path))] == [("好", None), ("", None)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "text,label\n", r"a\.csv has no rows"),
        ("a.jsonl", "", r"a\.jsonl has no rows"),
        ("a.csv", "txt,label\na,1\n", "no column that looks like the text; its columns are 'txt', 'label'"),
        ("a.csv", "text;label\na;1\n", "delimiter: ';'"),
        ("a.tsv", "a fine film\t1\na poor film\t0\n", r"columns: \[text, label\]"),
    ],
)
def test_unusable_files(write, name, content, says):
    with pytest.raises(DataError, match=says):
        load_text_splits(DataRecipe(train=str(write(name, content))))
