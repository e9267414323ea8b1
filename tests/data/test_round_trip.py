"""What is written in a format is read back as it was."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.data.readers.options import ReadOptions
from penjing.data.sources import read_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
ROWS = st.lists(st.tuples(TEXT, TEXT), max_size=8)
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_back(path):
    return [(row.fields["text"], row.fields["label"]) for row in read_rows(str(path), "train", ReadOptions())]


@pytest.mark.parametrize(("suffix", "dialect"), [("csv", "excel"), ("tsv", "excel-tab")])
@LAW
@given(rows=ROWS)
def test_delimited(tmp_path, suffix, dialect, rows):
    path = tmp_path / f"a.{suffix}"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, dialect).writerows([("text", "label"), *rows])
    assert read_back(path) == rows


@pytest.mark.parametrize("readable", [True, False])
@LAW
@given(rows=ROWS)
def test_json_lines(tmp_path, readable, rows):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=not readable) + "\n" for text, label in rows]
    path.write_bytes("".join(lines).encode())
    assert read_back(path) == rows
