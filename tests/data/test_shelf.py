"""Examples on the disk are read as those in memory are, and take little of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from app.world import labelled_rows, make_tokenizer
from penjing.core.errors import ResourceError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, TextExample, load_splits, shelf
from penjing.data.examples import PairExample, QuestionExample, TaggedExample
from penjing.data.shelf import Shelf, picked

EXAMPLES = [TextExample(text, label, f"x:{at}", None) for at, (text, label) in enumerate(labelled_rows(50, seed=4))]
ODD = [
    TextExample("\udcff\0 very", None, "x:1", "pair"),
    PairExample("a", None, 0.1 + 0.2, "x:2"),
    TaggedExample("a b", ((0, 1), (2, 3)), ((0, 2, "X"),), "x:3"),
    QuestionExample("7", "who?", "nobody", (("no", 0), ("one", None)), "x:4"),
]


def shelved(examples, held=0):
    made = Shelf(held)
    for one in examples:
        made.append(one)
    return made


@pytest.mark.parametrize("held", [0, 300, 10**6])
def test_a_shelf_is_a_list_of_what_was_put_there(held):
    made = shelved(EXAMPLES, held)
    assert (made.settled() is made) == (held < 10**6)
    assert list(made) == EXAMPLES
    assert len(made) == len(EXAMPLES)
    assert made[-1] == EXAMPLES[-1]
    assert made[3:9:2] == EXAMPLES[3:9:2]
    with pytest.raises(IndexError):
        made[50]
    some = picked(made.settled(), [5, 1, 40, 2])
    assert list(some) == [EXAMPLES[at] for at in (5, 1, 40, 2)]
    again = picked(some, [3, 0])
    assert list(again) == [again[0], again[1]] == list(again[:]) == [EXAMPLES[2], EXAMPLES[5]]


@pytest.mark.parametrize("example", ODD, ids=lambda one: type(one).__name__)
def test_every_field_comes_back(example):
    (found,) = shelved([example])
    assert found == example
    assert asdict(found) == asdict(example)


def test_a_full_disk_is_told(monkeypatch):
    def full(handle, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    made = shelved([replace(EXAMPLES[0], text="x" * (1 << 19))])
    with pytest.raises(ResourceError, match="No space left"):
        made.append(replace(EXAMPLES[0], text="x" * (1 << 20)))


@pytest.mark.parametrize("task", [Task.TEXT_CLASSIFICATION, Task.FILL_MASK])
def test_splits_are_the_same_wherever_they_lie(tmp_path, monkeypatch, task):
    rows = labelled_rows(300, seed=1) + labelled_rows(20, seed=1)  # some twice
    lines = "".join(f"{text},{label}\n" for text, label in rows)
    (tmp_path / "x.csv").write_text(f"text,label\n{lines}", encoding="utf-8")
    recipe = DataRecipe(train=str(tmp_path / "x.csv"), validation_fraction=0.1, limit_train_rows=150)
    inside = load_splits(recipe, task, seed=3)
    monkeypatch.setattr(shelf, "HELD_CHARACTERS", 500)
    outside = load_splits(recipe, task, seed=3)
    assert type(inside.train.examples) is tuple
    assert not isinstance(outside.train.examples, tuple | list)
    for one, other in ((inside.train, outside.train), (inside.validation, outside.validation),
                       (inside.test, outside.test)):  # fmt: skip
        assert one.sha256 == other.sha256
        assert list(one.examples) == list(other.examples)
    assert inside.report == outside.report
    assert inside.labels == outside.labels


PREPARING = """
import json, sys
from pathlib import Path
import pyarrow.parquet
from penjing.app.tasks import TextSettings, flow_of, prepare
from penjing.core.nouns import Task
from penjing.core.progress import SILENT
from penjing.data import DataRecipe, shelf
from penjing.tokens import compact

shelf.HELD_CHARACTERS, compact.HELD_TOKENS = 1 << 20, 1 << 16

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

before, settings = peak(), TextSettings(Path(sys.argv[2]), 12, 3)
made = prepare(DataRecipe(train=sys.argv[1]), flow_of(Task.TEXT_CLASSIFICATION), settings, seed=1, progress=SILENT)
print(json.dumps({"kib": peak() - before, "rows": made.train.split.rows}))
"""


# Arenas, pools and threads take what they will; what is left is what the code holds.
STEADY = {
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def write_rows(path, rows):
    """Parquet in row groups of 5000 rows, of 450 characters each."""
    arrow = pytest.importorskip("pyarrow", reason="the extra data is not installed")
    from pyarrow import parquet

    words = np.array(["engine", "orbit", "clutch", "rocket", "the", "we", "saw", "new", "old", "today"])
    rng = np.random.default_rng(0)
    schema = arrow.schema([("text", arrow.string()), ("label", arrow.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        for at in range(0, rows, 5000):
            texts = [f"{at + row} {' '.join(some)}" for row, some in enumerate(words[rng.integers(0, 10, (5000, 80))])]
            writer.write_table(arrow.table({"text": texts, "label": ["cars", "space"] * 2500}, schema=schema))


def test_memory_does_not_grow_with_the_texts(tmp_path):
    """Five times the rows, 18 MB more of text: some five megabytes more for where each row lies."""
    make_tokenizer([text for text, _ in labelled_rows(60, seed=9)]).save_pretrained(tmp_path)
    found = {}
    for rows in (10_000, 50_000):
        write_rows(tmp_path / "x.parquet", rows)
        ran = subprocess.run(
            [sys.executable, "-c", PREPARING, tmp_path / "x.parquet", tmp_path / "tokenizer.json"],
            env={**os.environ, **STEADY, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=250,
            check=True,
        )
        found[rows] = json.loads(ran.stdout)
    assert found[50_000]["rows"] == 40_000
    assert found[50_000]["kib"] - found[10_000]["kib"] < 12_000, found
