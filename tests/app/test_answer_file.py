"""Files of answers: three forms of the same rows, and nothing lost where the work is cut off."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet
import pytest

import penjing as package
from app.calling import penjing
from app.world import labelled_rows, write_rows
from penjing.app import answer_file
from penjing.app.answer_file import write_answers
from penjing.app.answer_rows import row_of
from penjing.core.errors import DataError, ResourceError
from penjing.tasks.question_answering import Answered, Candidate
from penjing.tasks.token_classification import Entity

ROWS = labelled_rows(50, seed=23)
ENTITIES = [[Entity("PER", "李娜", 0, 2, 0.987654321)], [], [Entity("LOC", "a, b", 3, 7, 0.5)] * 2]
ANSWERED = [Answered("x", 1, 2, 0.75, 0.25, (Candidate("y", 3, 4, 0.1),)), Answered("", 0, 0, 0.9, 0.9)]
VECTORS = [np.array([0.5, -1.25], np.float32)] * 3


class CutOffError(Exception):
    """What a test stops the work with."""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(answer_file, "WINDOW", 4)


@pytest.fixture
def source(tmp_path):
    return write_rows(tmp_path / "texts.csv", ROWS)


def counting(rows, *, stop_at=None):
    """Rows after the first so many, which stop at one; and where each call began."""
    begun = []

    def after(done):
        begun.append(done)
        for number, row in enumerate(rows[done:], start=done):
            if number == stop_at:
                raise CutOffError
            yield row

    return after, begun


def written(path, rows):
    write_answers(path, lambda done: iter(rows[done:]), identity=None)
    return path


def test_all_forms_hold_the_same_answers(made, source, tmp_path):
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        ran = penjing("predict", "topics/1", "--data", source, "--output", tmp_path / name, "--store", made.store)
        assert (ran.status, ran.out) == (0, "")
        assert "Answering: 100%" in ran.err
    told = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["label"] for row in told] == [
        one.label for one in package.predict("topics/1", [text for text, _ in ROWS], store=made.store)
    ]
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [row | {"score": float(row["score"])} for row in csv.DictReader(file)] == told
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist() == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl", "a.parquet", "texts.csv"]


@pytest.mark.parametrize(
    ("answers", "labels"), [(ENTITIES, ()), (ANSWERED, ()), (ANSWERED, ("start", "end")), (VECTORS, ())]
)
def test_answers_of_every_task_come_back_from_parquet_and_csv(tmp_path, answers, labels):
    rows = [json.loads(json.dumps(row_of(one, labels))) for one in answers]
    assert pyarrow.parquet.read_table(written(tmp_path / "a.parquet", rows)).to_pylist() == rows
    with written(tmp_path / "a.csv", rows).open(encoding="utf-8", newline="") as file:
        for row, told in zip(rows, csv.DictReader(file), strict=True):
            for name, value in row.items():
                assert told[name] == (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def test_probabilities_become_a_map(made, source, tmp_path):
    package.predict_file("topics", str(source), tmp_path / "a.parquet", store=made.store, probabilities=True)
    (first, *_) = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert dict(first["probabilities"])[first["label"]] == first["score"]


@pytest.mark.parametrize("stop_at", [0, 3, 4, 7, 8, 49])
def test_what_was_cut_off_goes_on_at_a_whole_window(tmp_path, stop_at):
    rows, path = [{"label": str(number), "score": number / 7} for number in range(50)], tmp_path / "a.jsonl"
    path.write_text("what was there before")
    after, _ = counting(rows, stop_at=stop_at)
    with pytest.raises(CutOffError):
        write_answers(path, after, identity="these")
    assert path.read_text() == "what was there before"
    after, begun = counting(rows)
    assert write_answers(path, after, identity="these") == stop_at // 4 * 4
    assert begun == [stop_at // 4 * 4]
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows
    assert list(tmp_path.iterdir()) == [path]


def test_half_a_row_is_not_kept(tmp_path):
    rows, path = [{"label": "好" * 9}] * 12, tmp_path / "a.jsonl"
    with pytest.raises(CutOffError):
        write_answers(path, counting(rows, stop_at=9)[0], identity="these")
    part = tmp_path / ".a.jsonl.part"
    part.write_bytes(part.read_bytes()[:-5])
    assert write_answers(path, counting(rows)[0], identity="these") == 4
    assert len(path.read_text().splitlines()) == 12


def test_other_answers_begin_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(CutOffError):
        write_answers(path, counting([{"label": "old"}] * 12, stop_at=9)[0], identity="these")
    assert write_answers(path, counting([{"label": "new"}] * 5)[0], identity="those") == 0
    assert path.read_text() == '{"label": "new"}\n' * 5


def test_answers_that_cannot_be_told_apart_never_go_on(tmp_path):
    with pytest.raises(CutOffError):
        write_answers(tmp_path / "a.csv", counting([{"label": "x"}] * 12, stop_at=9)[0], identity=None)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_source_begins_anew(made, source, tmp_path, monkeypatch):
    def cut(*_, **__):
        raise CutOffError

    output = tmp_path / "a.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(answer_file, "_finish", cut)
        with pytest.raises(CutOffError):
            package.predict_file("topics/1", str(source), output, store=made.store)
    write_rows(source, ROWS[:10])
    package.predict_file("topics/1", str(source), output, store=made.store)
    assert len(output.read_text().splitlines()) == 10


def test_texts_that_cannot_be_answered_leave_nothing(made, tmp_path):
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in ["good"] * 9 + [" "]))
    with pytest.raises(DataError, match="text 10 is blank"):
        package.predict_file("topics/1", str(source), tmp_path / "a.csv", store=made.store)
    assert list(tmp_path.iterdir()) == [source]


def test_a_disk_that_refuses_is_told_and_what_was_done_stays(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    rows, path = [{"label": "x"}] * 9, tmp_path / "a.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(answer_file, "_to_json_lines", refuse)
        with pytest.raises(ResourceError, match=r"No space left on device.*Free space"):
            write_answers(path, counting(rows)[0], identity="these")
    assert [one.name for one in tmp_path.iterdir()] == [".a.jsonl.part"]
    assert write_answers(path, counting(rows)[0], identity="these") == 8
    assert len(path.read_text().splitlines()) == 9


def test_no_texts_give_an_empty_file(tmp_path):
    for name in ("a.jsonl", "a.csv"):
        assert written(tmp_path / name, []).read_bytes() == b""
    assert pyarrow.parquet.read_table(written(tmp_path / "a.parquet", [])).num_rows == 0
