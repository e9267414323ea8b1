"""Texts with their translations, from every form they come in."""

import gzip

import pytest

from penjing.core.errors import DataError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, load_splits, read_texts


def load(source, **recipe):
    return load_splits(DataRecipe(train=str(source), **recipe), Task.TRANSLATION)


PAIRS = [
    ("A dog runs.", "Ein Hund läuft."),
    ("你好,世界", "Hallo, Welt 🌍"),
    ("مرحبا", "Grüß dich"),
    ("One.", "Eins."),
    ("Two.", "Zwei."),
]


def pairs_of(data):
    return sorted((one.source, one.target) for part in (data.train, data.test) for one in part.examples)


def two_files(folder, pairs, *, packed=False):
    for at, code in enumerate(("en", "de")):
        text = "".join(f"{pair[at]}\n" for pair in pairs)
        path = folder / f"train.{code}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return f"{folder}/train.{{en,de}}{'.gz' if packed else ''}"


@pytest.mark.parametrize("packed", [False, True])
def test_two_files_of_aligned_lines(tmp_path, packed):
    assert pairs_of(load(two_files(tmp_path, PAIRS, packed=packed))) == sorted(PAIRS)


def test_the_other_direction_is_the_other_order(tmp_path):
    two_files(tmp_path, PAIRS)
    assert pairs_of(load(f"{tmp_path}/train.{{de,en}}")) == sorted((b, a) for a, b in PAIRS)


def test_files_of_unequal_length_are_refused_with_the_line(tmp_path):
    source = two_files(tmp_path, PAIRS)
    (tmp_path / "train.de").write_text("Ein Hund läuft.\n")
    with pytest.raises(DataError, match=r"train\.de ends after line 1, and .*train\.en goes on"):
        load(source)
    (tmp_path / "train.de").unlink()
    with pytest.raises(DataError, match=r"train\.de does not exist"):
        load(source)


def test_tables_and_json_lines(tmp_path):
    (tmp_path / "a.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in PAIRS), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(
        "".join(f'{{"translation": {{"en": "{a}", "de": "{b}"}}}}\n' for a, b in PAIRS), encoding="utf-8"
    )
    (tmp_path / "c.tsv").write_text("".join(f"{a}\t{b}\tCC-BY\n" for a, b in PAIRS), encoding="utf-8")
    assert pairs_of(load(tmp_path / "a.tsv")) == sorted(PAIRS)
    assert pairs_of(load(tmp_path / "b.jsonl", text="en", pair="de")) == sorted(PAIRS)
    assert pairs_of(load(tmp_path / "c.tsv", columns=("source", "target", "licence"))) == sorted(PAIRS)
    with pytest.raises(DataError, match="no column that looks like the text"):
        load(tmp_path / "b.jsonl")


def test_blank_rows_are_counted_and_the_same_text_stays_in_one_split(tmp_path):
    rows = [*PAIRS, ("", "nichts"), ("something", " ")]
    data = load(two_files(tmp_path, rows))
    assert sum(split.blank_dropped for split in data.report.splits) == 2
    repeated = [(f"Sentence {n // 4}.", f"Satz {n}.") for n in range(40)]
    data = load(two_files(tmp_path, repeated))
    assert not {one.source for one in data.train.examples} & {one.source for one in data.test.examples}


def test_one_language_twice_teaches_nothing(tmp_path):
    with pytest.raises(DataError, match="is the text itself"):
        load(two_files(tmp_path, [(a, a) for a, _ in PAIRS]))


def test_texts_to_translate_need_no_translation(tmp_path):
    (tmp_path / "texts.csv").write_text('text\nHello\n""\n', encoding="utf-8")
    assert [one.source for one in read_texts(str(tmp_path / "texts.csv"), task=Task.TRANSLATION)] == ["Hello", ""]
