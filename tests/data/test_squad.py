"""SQuAD's JSON in its three dialects, recognised by what it holds."""

from __future__ import annotations

import gzip
import json

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.options import ReadOptions
from penjing.data.readers.squad import read_squad
from penjing.data.sources import read_rows

PLAIN = ReadOptions()


def squad(*questions, context="The fox jumps."):
    return {"version": "1.1", "data": [{"title": "x", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


ONE = {"id": "q1", "question": "Who jumps?", "answers": [{"text": "fox", "answer_start": 4}]}
NONE = {"id": "q2", "question": "Who sleeps?", "answers": [], "is_impossible": True,
        "plausible_answers": [{"text": "fox", "answer_start": 4}]}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_a_json_file_is_known_by_what_it_holds(tmp_path, indent, suffix):
    path = tmp_path / f"squad{suffix}"
    content = json.dumps(squad(ONE, NONE), indent=indent).encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    first, second = read_rows(str(path), "train", PLAIN)
    assert first.fields == {
        "id": "q1",
        "question": "Who jumps?",
        "context": "The fox jumps.",
        "answers": ONE["answers"],
    }
    assert (second.fields["answers"], second.origin) == ([], f"{path}[q2]")


def test_another_suffix_needs_the_format_named(write):
    path = write("squad.txt", json.dumps(squad(ONE)))
    (row,) = read_rows(str(path), "train", ReadOptions(format="squad"))
    assert row.fields["id"] == "q1"


def test_questions_without_answers_or_id_say_so(write):
    path = write("a.json", json.dumps(squad({"question": "Who?"})))
    (row,) = read_squad(path, PLAIN)
    assert (row.fields["id"], row.fields["answers"]) == (None, None)
    assert row.origin == f"{path}[data[0].paragraphs[0].qas[0]]"


def test_json_lines_with_a_column_named_data_stay_json_lines(write):
    path = write("a.json", '{"data": [1], "text": "x"}\n{"data": 2, "text": "y"}\n')
    assert [row.fields["text"] for row in read_rows(str(path), "train", PLAIN)] == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not of SQuAD's form"),
        ('{"data": 3}', "is not of SQuAD's form; expected"),
        ('{"data": [{"paragraphs": 3}]}', r"data\[0\] is not of SQuAD's form"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', r"data\[0\]\.paragraphs\[0\] is not"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [3]}]}]}', r"paragraphs\[0\]\.qas\[0\] is not"),
    ],
)
def test_what_is_not_squad_is_told(write, content, says):
    with pytest.raises(DataError, match=says):
        list(read_squad(write("a.json", content), PLAIN))
