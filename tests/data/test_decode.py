from __future__ import annotations

import gzip
import os

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.decode import text_lines, whole_text
from penjing.data.readers.options import ReadOptions

PLAIN = ReadOptions()


def test_line_ends_are_kept(write):
    assert list(text_lines(write("a", "a\r\nb\rc\nd"), PLAIN)) == ["a\r\n", "b\r", "c\n", "d"]


def test_gzip_is_unpacked_and_offsets_count_unpacked_bytes(write):
    assert list(text_lines(write("a.GZ", gzip.compress("好\n坏".encode())), PLAIN)) == ["好\n", "坏"]
    with pytest.raises(DataError, match=r"a\.gz:2: byte 0xff at offset 2 "):
        list(text_lines(write("a.gz", gzip.compress(b"a\n\xff")), PLAIN))


@pytest.mark.parametrize(
    "content", [b"not gzip", gzip.compress(os.urandom(5000))[:-100], gzip.compress(b"x" * 99)[:-9]]
)
def test_broken_gzip(write, content):
    with pytest.raises(DataError, match=r"a\.gz is not whole gzip"):
        list(text_lines(write("a.gz", content), PLAIN))


def test_unreadable_paths(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(text_lines(tmp_path / "absent", PLAIN))
    with pytest.raises(DataError, match="is not a file"):
        whole_text(tmp_path, PLAIN)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is not a file"):
        list(text_lines(tmp_path / "pipe", PLAIN))


@pytest.mark.parametrize(
    ("encoding", "content", "says"),
    [
        ("gb18030", "好\n".encode("gb18030") + b"\xff\xff", r"a:2: byte 0xff at offset 3 is not gb18030"),
        ("utf-16-le", "好\n".encode("utf-16-le") + b"\x00", r"a:2: byte 0x00 at offset 4 is not utf-16-le"),
        ("ascii", b"a\nb\nc\xe9", r"a:3: byte 0xe9 at offset 5 is not ascii"),
    ],
)
def test_the_bad_byte_is_named_in_any_encoding(write, encoding, content, says):
    for read in (whole_text, lambda path, options: list(text_lines(path, options))):
        with pytest.raises(DataError, match=says):
            read(write("a", content), ReadOptions(encoding=encoding))
