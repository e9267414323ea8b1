from __future__ import annotations

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.folder import read_folder
from penjing.data.readers.options import ReadOptions

PLAIN = ReadOptions()


def test_labels_and_texts_in_order_of_name(write, tmp_path):
    write("set/spam/2.txt", "买一送一\n🙂")
    write("set/spam/10", "no suffix")
    write("set/ham/1.txt", "hello")
    write("set/ham/.hidden", b"\xff")
    write("set/.git/x", b"\xff")
    write("set/README", b"\xff")
    (tmp_path / "set" / "none").mkdir()
    rows = list(read_folder(tmp_path / "set", PLAIN))
    assert [(row.fields["label"], row.fields["text"]) for row in rows] == [
        ("ham", "hello"),
        ("spam", "no suffix"),
        ("spam", "买一送一\n🙂"),
    ]
    assert rows[0].origin.endswith("ham/1.txt:1")


def test_bad_bytes_name_the_file_and_policies_apply(write, tmp_path):
    write("set/a/1.txt", b"one\ncaf\xe9")
    with pytest.raises(DataError, match=r"a/1\.txt:2: byte 0xe9 at offset 7 is not utf-8.*encoding_errors: replace"):
        list(read_folder(tmp_path / "set", PLAIN))
    (row,) = read_folder(tmp_path / "set", ReadOptions(encoding_errors="replace"))
    assert row.fields["text"] == "one\ncaf\ufffd"
    (row,) = read_folder(tmp_path / "set", ReadOptions(encoding="latin-1"))
    assert row.fields["text"] == "one\ncafé"


def test_no_text(write, tmp_path):
    write("set/lonely.txt", "no label")
    with pytest.raises(DataError, match=r"holds no text; expected one subfolder a label"):
        list(read_folder(tmp_path / "set", PLAIN))


def test_one_level_too_high(write, tmp_path):
    write("set/train/pos/1.txt", "x")
    with pytest.raises(DataError, match=r"set/train holds folders where texts should be.*name it as the source"):
        list(read_folder(tmp_path / "set", PLAIN))
