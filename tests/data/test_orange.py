from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.options import ReadOptions
from penjing.data.readers.orange import read_orange

PLAIN = ReadOptions()


def test_the_shape_of_20_newsgroups(write):
    path = write("a.tab", "Category\tText\nd\tstring\nclass\t\n\nsci.space\tto the moon\nrec.autos\tvroom\n")
    rows = list(read_orange(path, PLAIN))
    assert [dict(row.fields) for row in rows] == [
        {"Category": "sci.space", "Text": "to the moon"},
        {"Category": "rec.autos", "Text": "vroom"},
    ]
    assert rows[0].origin == f"{path}:5"


@pytest.mark.parametrize("flags", ["meta\tclass", "m\tc", "\t", "", "meta include=True\tclass"])
def test_flags_in_their_forms_and_no_blank_line(write, flags):
    path = write("a.tab", f"Text\tLabel\ns\ta b\n{flags}\nfirst\ta\nsecond\tb\n")
    assert [row.fields["Text"] for row in read_orange(path, PLAIN)] == ["first", "second"]


def test_quoted_line_ends(write):
    path = write("a.tab", 'Text\tLabel\nstring\tdiscrete\nmeta\tclass\n"one\ntwo 好"\ta\n')
    assert [row.fields["Text"] for row in read_orange(path, PLAIN)] == ["one\ntwo 好"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("Text\tLabel\n", "lacks Orange's three header lines.*rename it to .tsv"),
        ("Text\tLabel\nhello\ta\nbye\tb\n", "lacks Orange's three header lines"),
        ("Text\tLabel\ns\td\nhello there\ta\n", "lacks Orange's three header lines"),
        ("Text\tLabel\ns\td\nmeta\tclass\nonly one\n", r"a\.tab:4 has 1 field; expected 2"),
    ],
)
def test_bad_tables(write, content, says):
    with pytest.raises(DataError, match=says):
        list(read_orange(write("a.tab", content), PLAIN))
