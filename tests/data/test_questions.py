"""Rows to questions: every form, answers in their places, and contexts that stay in one split."""

import csv
import json

import pyarrow as arrow
import pyarrow.parquet
import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_split, load_splits, read_texts

TASK = Task.QUESTION_ANSWERING
CONTEXT = "狐狸 the fox jumps, and the fox sleeps. 🙂 في باريس"
ROW = {"id": "q1", "question": "Who jumps?", "context": CONTEXT}


@pytest.fixture
def split(tmp_path):
    def load(rows, **settings):
        path = tmp_path / "data.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return load_split(str(path), (), task=TASK, recipe=DataRecipe(train=str(path), **settings)).examples

    return load


@pytest.mark.parametrize(
    "answers",
    [
        {"answers": [{"text": "fox", "answer_start": 7}]},
        {"answers": {"text": ["fox"], "answer_start": [7]}},
        {"answers": {"text": "fox", "answer_start": 7}},
        {"answer": "fox", "answer_start": 7},
        {"answer": "fox", "answer_start": "7"},
    ],
)
def test_the_forms_of_an_answer(split, answers):
    (one,) = split([ROW | answers])
    assert (one.id, one.question, one.context, one.answers) == ("q1", "Who jumps?", CONTEXT, (("fox", 7),))
    assert (one.texts, one.labels) == (("Who jumps?", CONTEXT), ())


@pytest.mark.parametrize(
    "answers",
    [
        {"answers": []},
        {"answers": {"text": [], "answer_start": []}},
        {"answer": "", "answer_start": None},
        {"answer": None, "answer_start": None},
        {"answers": [{"text": " ", "answer_start": 0}]},
    ],
)
def test_the_forms_of_no_answer(split, answers):
    (one,) = split([ROW | answers])
    assert one.answers == ()


def test_tables_and_parquet(tmp_path):
    file, table = tmp_path / "a.csv", tmp_path / "a.parquet"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(
            [("question", "context", "answer", "answer_start"), ("谁？", CONTEXT, "狐狸", 0), ("who?", CONTEXT, "", "")]
        )
    rows = [ROW | {"answers": {"text": ["باريس"], "answer_start": [CONTEXT.index("باريس")]}}]
    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), table)
    assert [one.answers for one in load_split(str(file), (), task=TASK).examples] == [(("狐狸", 0),), ()]
    (one,) = load_split(str(table), (), task=TASK).examples
    assert one.answers == (("باريس", CONTEXT.index("باريس")),)


def test_columns_by_name_and_what_comes_first_by_itself(split):
    row = {"q": "Who?", "text": "no", "passage": CONTEXT, "gold": "fox", "answer_start": 7}
    (one,) = split([row], question="q", answers="gold")
    assert (one.question, one.context) == ("Who?", CONTEXT)
    (one,) = split([row], question="q", answers="gold", context="text", on_misaligned="widen")
    assert (one.context, one.answers) == ("no", (("fox", None),))


def test_answers_out_of_place_are_refused_mended_or_left_out(split):
    rows = [
        ROW | {"answer": "fox", "answer_start": 6},
        ROW | {"answer": "fox", "answer_start": 24},
        ROW | {"answer": "cat", "answer_start": -1},
        ROW | {"answer": "fox", "answer_start": 7},
    ]
    with pytest.raises(DataError, match=r"data\.jsonl:1: the answer 'fox' is said to begin at 6.*on_misaligned: widen"):
        split(rows)
    assert [one.answers for one in split(rows, on_misaligned="widen")] == [
        (("fox", 7),), (("fox", 24 if CONTEXT[24:27] == "fox" else CONTEXT.index("fox", 8)),), (("cat", None),),
        (("fox", 7),),
    ]  # fmt: skip
    assert len(split(rows, on_misaligned="drop")) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW, "no column that looks like the answers"),
        (ROW | {"answers": None}, "without a label"),
        (ROW | {"answers": 3}, "column 'answers' holds 3; expected"),
        (ROW | {"answers": [3]}, "column 'answers' holds"),
        (ROW | {"answers": {"text": ["a"], "answer_start": []}}, "column 'answers' holds"),
        (ROW | {"answers": [{"text": 3, "answer_start": 0}]}, "holds a int; expected text"),
        (ROW | {"answer": "fox", "answer_start": None}, "has the answer_start None; expected"),
        (ROW | {"answer": "fox"}, "has the answer_start None"),
        (ROW | {"answer": "fox", "answer_start": 7.5}, "has the answer_start 7.5"),
        (ROW | {"answer": "fox", "answer_start": 10**9}, "is said to begin at 1000000000"),
        ({"question": "Who?", "answers": []}, "no column that looks like the context"),
        ({"context": "x", "answers": []}, "no column that looks like the question"),
        (ROW | {"question": 3, "answers": []}, "column 'question' holds a int"),
        (ROW | {"question": "\ud800", "answers": []}, "half a surrogate pair"),
        (ROW | {"question": " ", "answers": []}, "no row that can be used"),
    ],
)
def test_what_is_no_question_is_told(split, row, said):
    with pytest.raises(DataError, match=said):
        split([row])


def test_blank_questions_and_contexts_are_left_out_or_refused(split):
    rows = [ROW | {"answers": []}, ROW | {"question": "", "answers": []}, ROW | {"context": "\n", "answers": []}]
    assert len(split(rows)) == 1
    with pytest.raises(DataError, match=r"2 rows with a blank text.*on_empty: drop"):
        split(rows, on_empty="error")


def test_one_id_for_two_questions_is_an_error_and_a_repeat_is_none(split):
    row = ROW | {"answers": []}
    assert len(split([row, row])) == 2
    with pytest.raises(DataError, match=r"has the id 'q1' of an earlier row.*'Who jumps\?' there, 'Who sleeps\?' here"):
        split([row, row | {"question": "Who sleeps?"}])
    without = [{name: value for name, value in row.items() if name != "id"}, row | {"question": "Who sleeps?"}]
    assert len({one.id for one in split(without)}) == 2


def contexts(number):
    return [
        {"question": f"Who is {who}?", "context": f"{who} is number {number}.", "answer": who, "answer_start": 0}
        for who in (f"Ann{number}",)
        for _ in range(3)
    ]


def test_a_context_stands_in_one_split_only(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for number in range(20) for row in contexts(number)))
    data = load_splits(DataRecipe(train=str(path), test_fraction=0.25, validation_fraction=0.25), TASK, seed=3)
    parts = [{one.context for one in part.examples} for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [11, 4, 5]
    assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])
    assert data.report.splits[0].repeats == 22
    assert data.labels == ()
    assert "labels" not in str(data.report)
    beside = tmp_path / "b.jsonl"
    beside.write_text("".join(json.dumps(row | {"question": "Who?"}) + "\n" for row in contexts(7)))
    data = load_splits(DataRecipe(train=str(path), test=str(beside)), TASK)
    assert (data.train.rows, data.report.leaks[0].rows) == (57, 3)


def test_data_that_points_at_nothing_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(ROW | {"id": n, "context": f"c{n}", "answers": []}) + "\n" for n in range(9)))
    with pytest.raises(DataError, match=r"no row of .* has an answer that stands in its context"):
        load_splits(DataRecipe(train=str(path)), TASK)


def test_mended_rows_are_reported(tmp_path):
    path = tmp_path / "a.jsonl"
    row = ROW | {"answer": "fox"}
    rows = [row | {"id": n, "context": f"{n} fox", "answer_start": 0 if n < 2 else 2} for n in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = load_splits(DataRecipe(train=str(path), test=str(path), on_misaligned="widen", on_leak="report"), TASK)
    assert "train: 2 rows with an answer taken from the nearest place" in "\n".join(data.report.remarks())


def test_questions_to_ask_need_no_answers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "Who?", "context": ""}) + "\n" + json.dumps(ROW) + "\n")
    blank, asked = read_texts(str(path), task=TASK)
    assert (blank.context, asked.texts) == ("", ("Who jumps?", CONTEXT))
