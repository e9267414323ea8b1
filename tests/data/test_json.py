from __future__ import annotations

import json

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.jsonl import read_json, read_json_lines
from penjing.data.readers.options import ReadOptions

PLAIN = ReadOptions()
ITEMS = [{"text": "你好\n🙂\u2028", "label": 1, "tags": ["a"]}, {"text": "", "label": None}]


def test_lines(write):
    path = write("a.jsonl", "\n".join(json.dumps(item, ensure_ascii=False) for item in ITEMS) + "\n\n")
    rows = list(read_json_lines(path, PLAIN))
    assert [row.fields for row in rows] == ITEMS
    assert rows[1].origin == f"{path}:2"


def test_an_array_in_one_line_or_many(write):
    for indent in (None, 2):
        path = write("a.json", "\n" + json.dumps(ITEMS, indent=indent))
        rows = list(read_json(path, PLAIN))
        assert [row.fields for row in rows] == ITEMS
        assert rows[1].origin == f"{path}[1]"


def test_json_with_lines_inside(write):
    path = write("a.json", "\n".join(json.dumps(item) for item in ITEMS))
    assert [row.fields for row in read_json(path, PLAIN)] == ITEMS


def test_empty_files_give_no_rows(write):
    assert list(read_json_lines(write("a.jsonl", ""), PLAIN)) == []
    assert list(read_json(write("a.json", "  \n"), PLAIN)) == []
    assert list(read_json(write("b.json", "[]"), PLAIN)) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"text": "a"}\n["a", 1]\n', r"a\.jsonl:2 is an array; expected an object"),
        ('"text"\n', r"a\.jsonl:1 is a string"),
        ("null\n", r"a\.jsonl:1 is null"),
        ("12\n", r"a\.jsonl:1 is of type int"),
        ('{"text": "a"\n', r"a\.jsonl:1 is not JSON"),
        ("1" * 5000, r"a\.jsonl:1 is not JSON"),
        ("[" * 100_000, r"a\.jsonl:1 is not JSON"),
        (b'{"text": "\xff"}\n', r"a\.jsonl:1: byte 0xff at offset 10 is not utf-8"),
    ],
)
def test_bad_lines(write, content, says):
    with pytest.raises(DataError, match=says):
        list(read_json_lines(write("a.jsonl", content), PLAIN))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"text": "a"}, "b"]', r"a\.json\[1\] is a string"),
        ('[{"text": "a"}', r"a\.json is not JSON"),
        ('{"data": [\n{"text": "a"}\n]}', r"a\.json:1 is not JSON"),
        (b'[{"text":\n"\xff"}]', r"a\.json:2: byte 0xff at offset 11 is not utf-8"),
        ('[{"text":\n"a\0b"}]', r"a\.json:2 holds a NUL"),
    ],
)
def test_bad_arrays(write, content, says):
    with pytest.raises(DataError, match=says):
        list(read_json(write("a.json", content), PLAIN))


def test_an_array_file_is_bounded(write, monkeypatch):
    monkeypatch.setattr("penjing.data.readers.decode.MAX_WHOLE_BYTES", 100)
    with pytest.raises(DataError, match=r"in one piece.*\.jsonl"):
        list(read_json(write("a.json", json.dumps(ITEMS * 9)), PLAIN))
