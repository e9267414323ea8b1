from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.data.readers import delimited
from penjing.data.readers.delimited import read_csv, read_tsv
from penjing.data.readers.options import ReadOptions

PLAIN = ReadOptions()


def fields(rows):
    return [dict(row.fields) for row in rows]


def test_quoted_line_ends_chinese_and_emoji(write):
    path = write("a.csv", 'text,label\n"第一行\n第二行, ""引用""",好\r\n🙂 ok,bad\n')
    rows = list(read_csv(path, PLAIN))
    assert fields(rows) == [
        {"text": '第一行\n第二行, "引用"', "label": "好"},
        {"text": "🙂 ok", "label": "bad"},
    ]
    assert [row.origin for row in rows] == [f"{path}:2", f"{path}:4"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_recognised(write, encoding):
    path = write("a.csv", "text,label\n好,1\n", encoding)
    assert fields(read_csv(path, PLAIN)) == [{"text": "好", "label": "1"}]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig", "utf-16-le", "latin-1"])
def test_a_named_encoding_is_used(write, encoding):
    word = "é" if encoding == "latin-1" else "好"
    path = write("a.csv", f"text,label\n{word},1\n", encoding)
    named = "utf-8" if encoding == "utf-8-sig" else encoding
    assert fields(read_csv(path, ReadOptions(encoding=named))) == [{"text": word, "label": "1"}]


def test_blank_lines_are_passed_over_and_names_trimmed(write):
    path = write("a.tsv", "\n text\tlabel \n\na\t1\n\n\nb\t2")
    assert fields(read_tsv(path, PLAIN)) == [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]


def test_delimiter_quotes_and_columns_by_option(write):
    path = write("a.csv", 'say "hi;1\n"unclosed;2\n')
    options = ReadOptions(delimiter=";", quoted=False, columns=("text", "label"))
    assert fields(read_csv(path, options)) == [{"text": 'say "hi', "label": "1"}, {"text": '"unclosed', "label": "2"}]


def test_a_field_of_ten_megabytes_is_read(write):
    big = "好" * 3_500_000
    path = write("a.csv", f"text,label\n{big},1\n")
    assert next(read_csv(path, PLAIN)).fields["text"] == big


def test_a_field_beyond_the_bound_is_refused(write, monkeypatch):
    monkeypatch.setattr("penjing.data.readers.decode.MAX_LINE_CHARS", 100)
    path = write("a.csv", "text,label\n" + "x" * 200 + ",1\n")
    with pytest.raises(DataError, match=r"a\.csv:2 runs past 100 characters"):
        list(read_csv(path, PLAIN))


def test_a_field_of_many_lines_is_bounded_too(write, monkeypatch):
    limit = delimited.csv.field_size_limit(50)
    monkeypatch.setattr(delimited, "MAX_LINE_CHARS", 50)
    path = write("a.csv", 'text,label\n"' + "word\n" * 30 + '",1\n')
    try:
        with pytest.raises(DataError, match=r"a\.csv:2: field larger than field limit"):
            list(read_csv(path, PLAIN))
    finally:
        delimited.csv.field_size_limit(limit)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty; expected a header line"),
        ("\n\n", "is empty"),
        ("text,label,text\na,1,b\n", "has 'text' twice"),
        ("text,label\na,1\nb\n", r"a\.csv:3 has 1 field; expected 2 \(text, label\)"),
        ("text,label\na,1,more\n", r"a\.csv:2 has 3 fields; expected 2"),
        ('text,label\nok,1\n"never closed,1\nx,2\n', r"a\.csv:3: unexpected end of data.*quotes: none"),
        ('text,label\n"a"b,1\n', r"a\.csv:2: ',' expected after '\"'.*quotes: none"),
        ("text,label\na\0b,1\n", r"a\.csv:2 holds a NUL character.*utf-16-le"),
        (b"text,label\nok,1\ncaf\xe9,1\n", r"a\.csv:3: byte 0xe9 at offset 19 is not utf-8.*encoding:"),
        (b"\xef\xbb\xbftext,label\ncaf\xe9,1\n", r"a\.csv:2: byte 0xe9 at offset 17 is not utf-8"),
        (b"text,label\nok,1\n\xe5\xa5", r"a\.csv:3: byte 0xe5 at offset 16 is not utf-8"),
    ],
)
def test_bad_files_are_named_with_line_and_remedy(write, content, says):
    path = write("a.csv", content)
    with pytest.raises(DataError, match=says):
        list(read_csv(path, PLAIN))


def test_a_bad_byte_far_into_a_long_file_is_found(write):
    good = "字,1\n" * 50_000  # longer than a block, and blocks end inside characters
    path = write("a.csv", b"text,label\n" + good.encode() + b"\xff,1\n")
    with pytest.raises(DataError, match=rf"a\.csv:50002: byte 0xff at offset {11 + len(good.encode())} "):
        list(read_csv(path, PLAIN))


def test_header_only_gives_no_rows(write):
    assert list(read_csv(write("a.csv", "text,label\n"), PLAIN)) == []


def test_undecodable_bytes_can_be_replaced(write):
    path = write("a.csv", b"text,label\ncaf\xe9,1\n")
    assert fields(read_csv(path, ReadOptions(encoding_errors="replace"))) == [{"text": "caf\ufffd", "label": "1"}]


def test_rows_come_as_they_are_read(write):
    """A fault further down does not keep the rows above it from being given."""
    path = write("a.csv", "text,label\n" + "a,1\n" * 10 + "ragged\n")
    rows = read_csv(path, PLAIN)
    assert next(rows).fields["text"] == "a"
    rows.close()
