"""CoNLL files: sentences, columns, comments, and what is wrong with a line."""

import pytest

from penjing.core.errors import DataError
from penjing.data.readers.conll import read_conll
from penjing.data.readers.options import ReadOptions
from penjing.data.sources import read_rows

PLAIN = ReadOptions()


def test_sentences_with_their_lines(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(
        "-DOCSTART- -X- O O\n\n# id 1\nEU NNP B-ORG\nrejects VBZ O\n\n\n今\tO\n天 的\tB-时间\n# O\n", encoding="utf-8"
    )
    rows = list(read_conll(path, PLAIN))
    assert [(row.fields["words"], row.fields["tags"], row.origin) for row in rows] == [
        (["EU", "rejects"], ["B-ORG", "O"], f"{path}:4"),
        (["今", "天 的", "#"], ["O", "B-时间", "O"], f"{path}:8"),
    ]


def test_a_line_without_a_tag_is_told(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("EU B-ORG\nrejects\n")
    with pytest.raises(DataError, match=r"a\.conll:2 has the word 'rejects' and no tag"):
        list(read_conll(path, PLAIN))


def test_the_format_may_be_said_where_the_suffix_does_not(tmp_path):
    path = tmp_path / "test.annotated"
    path.write_text("EU B-ORG\n")
    assert [row.fields["tags"] for row in read_rows(str(path), "test", ReadOptions(format="conll"))] == [["B-ORG"]]
    with pytest.raises(DataError, match="suffix"):
        list(read_rows(str(path), "test", PLAIN))
