"""Documents out of files, folders and tables; held out by what they say."""

import gzip
import json

import pytest

from penjing.core.errors import DataError
from penjing.data.corpus import CorpusRecipe, documents, source_digest

TEXT = "one one\nstill one\n\n\ntwo\n\n第三段。\n"


def of(source, role="train", seed=0, *, validates=False, **more):
    return list(documents(CorpusRecipe(train=str(source), held_out=1e-9, **more), role, seed=seed, validates=validates))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("paragraph", ["one one\nstill one\n", "two\n", "第三段。\n"]),
        ("line", ["one one\n", "still one\n", "two\n", "第三段。\n"]),
        ("file", [TEXT]),
    ],
)
def test_documents_of_a_text_file(tmp_path, unit, expected):
    (tmp_path / "a.txt").write_text(TEXT)
    assert [one.strip() for one in of(tmp_path / "a.txt", documents=unit)] == [one.strip() for one in expected]
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert of(tmp_path / "a.txt.gz", documents=unit) == of(tmp_path / "a.txt", documents=unit)


def test_tables_and_folders(tmp_path):
    (tmp_path / "deep").mkdir()
    rows = [{"text": "from a table", "label": "x"}, {"text": " ", "label": "x"}, {"text": "又一行", "label": "x"}]
    (tmp_path / "deep/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.md").write_text("a file")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("no")
    assert of(tmp_path / "deep/rows.jsonl") == ["from a table", "又一行"]
    assert of(tmp_path, documents="file") == ["a file", "from a table", "又一行"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no text"):
        of(tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        of(tmp_path / "nowhere.txt")


def test_bad_bytes_are_told_or_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 au lait\n")
    with pytest.raises(DataError, match=r"a\.txt"):
        of(tmp_path / "a.txt")
    assert of(tmp_path / "a.txt", encoding_errors="replace") == ["caf\ufffd au lait\n"]
    assert of(tmp_path / "a.txt", encoding="latin-1") == ["café au lait\n"]


def test_what_is_held_out_hangs_on_the_text_and_the_seed_alone(tmp_path):
    lines = [f"document {number}" for number in range(2000)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (tmp_path / "b.txt").write_text("\n".join([*reversed(lines), *lines[:50]]))

    def parts(name, seed=0, *, validates=True):
        recipe = CorpusRecipe(train=str(tmp_path / name), held_out=0.1, documents="line")
        return [
            {one.strip() for one in documents(recipe, role, seed=seed, validates=validates)}
            for role in ("train", "validation", "test")
        ]

    train, validation, test = parts("a.txt")
    assert train | validation | test == set(lines)
    assert len(train) + len(validation) + len(test) == len(lines)
    assert 150 < len(test) < 250
    assert 150 < len(validation) < 250
    assert parts("b.txt") == [train, validation, test]
    assert parts("a.txt", seed=1)[2] != test
    assert parts("a.txt", validates=False)[0] == train | validation


def test_another_source_may_be_held_out(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join("abcdefgh"))
    (tmp_path / "b.txt").write_text("x\n\ny")
    recipe = CorpusRecipe(train=str(tmp_path / "a.txt"), test=str(tmp_path / "b.txt"), held_out=0.5)
    found = {role: [one.strip() for one in documents(recipe, role, seed=0)] for role in ("train", "test")}
    assert found == {"train": list("abcdefgh"), "test": ["x", "y"]}


def test_the_digest_is_of_the_content(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    recipe = CorpusRecipe(train=str(tmp_path / "a.txt"))
    before = source_digest(recipe)
    assert source_digest(recipe) == before
    (tmp_path / "a.txt").write_text("two")
    assert source_digest(recipe) != before
