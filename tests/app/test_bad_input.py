"""What people hand in by mistake: each told in what came, what was expected and what to do; nothing half-written."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path

import pytest

from app.calling import penjing
from app.world import QUICK, labelled_rows, make_tokenizer, write_rows
from penjing.store import Store

ROWS = labelled_rows(24, seed=5)
TEXTS = [text for text, _ in ROWS]


def table(name, rows, *, header=("text", "label")):
    """A CSV file of the case."""
    lines = [",".join(header), *(",".join(row) for row in rows)]
    return lambda folder: (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def raw(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def spoilt(spoil):
    """A copy of the good checkpoint, spoilt."""

    def write(folder):
        spoil(folder / "encoder")

    return write


def only_pickled(path):
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def foreign_tokenizer(path):
    make_tokenizer([f"word{n} {n * 7919}" for n in range(2000)], vocabulary=1500).save_pretrained(path)


def cut(path):
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-7])


def family(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))


NOTHING = table("ignored.csv", [])
# name → (what is written to the folder, further arguments, status, what is said)
CASES = {
    "no such columns": (table("train.csv", ROWS, header=("a", "b")), (), 1,
        r"has no column that looks like the text; its columns are 'a', 'b'; expected a text column. Set text: to one"),
    "a named column that is absent": (NOTHING, ("--set", "data.label=topic"), 1,
        r"has no column 'topic'; its columns are 'text', 'label'; expected a label column\. Set label"),
    "blank texts only": (table("train.csv", [("  ", "a"), ("", "b")]), (), 1,
        r"train\.csv has no row with both a text and a label; expected labelled texts"),
    "a blank text where none may be": (table("train.csv", [*ROWS, ("", "cars")]), ("--set", "data.on_empty=error"), 1,
        r"has 1 row with a blank text: train\.csv:26; expected none\. Correct the source, or set on_empty: drop"),
    "a row without a label": (table("train.csv", [*ROWS, ("text", "")]), (), 1,
        r"has 1 row without a label: train\.csv:26; expected none\. Correct the source, or set on_unlabelled: drop"),
    "a header alone": (table("train.csv", []), (), 1, r"train\.csv has no rows; expected labelled texts below"),
    "an empty file": (raw("train.csv", b""), (), 1, r"train\.csv.*expected"),
    "one class": (table("train.csv", [(text, "only") for text in TEXTS]), (), 1,
        r"every row of .*train\.csv has the label 'only'; expected at least two labels\. Check that label:"),
    "test labels that training never sees": (table("test.csv", [("snow", "weather")]), (), 1,
        r"test has labels that training never sees: 'weather' \(1 rows\); expected labels among 'cars'.*Correct the"),
    "bytes of another encoding": (raw("train.csv", "text,label\nétoile,a\n日,b\n".encode("gb18030")), (), 1,
        r"train\.csv.*expected.*encoding"),
    "an encoding nobody knows": (NOTHING, ("--set", "data.encoding=klingon"), 2,
        r"data\.encoding: .*unknown encoding; such as utf-8, gb18030.*klingon.*Correct the keys"),
    "the same texts in both splits": (table("test.csv", ROWS[:5]), ("--set", "data.on_leak=error"), 1,
        r"train shares 5 of its rows with test: train\.csv:2, .*expected no text in two splits\. Remove them"),
    "a data file that is absent": (lambda folder: (folder / "train.csv").unlink(), (), 1,
        r"train\.csv does not exist; expected a file, a folder, one of 20newsgroups"),
    "a suffix that says nothing": (NOTHING, ("--train", "README.md"), 1, r"expected"),
    "a recipe that is no YAML": (raw("recipe.yaml", b"a: [1, 2"), ("--recipe", "recipe.yaml"), 2,
        r"recipe\.yaml is not YAML: .*; expected plain YAML"),
    "a recipe that is a list": (raw("recipe.yaml", b"- 1"), ("--recipe", "recipe.yaml"), 2,
        r"recipe recipe\.yaml holds a list; expected a mapping of keys to values"),
    "a recipe that is absent": (NOTHING, ("--recipe", "none.yaml"), 2,
        r"recipe none\.yaml cannot be read: No such file.*; expected a YAML file"),
    "several faults at once": (raw("recipe.yaml", b"training: {epoch: 3, clip_norm: -1}\nseeds: 4"),
        ("--recipe", "recipe.yaml"), 2,
        r"has 3 faults:.*training\.clip_norm: .*came: -1.*training\.epoch: unknown key; did you mean 'epochs'.*seeds"),
    "a setting without a value": (NOTHING, ("--set", "training.epochs"), 2,
        r"--set 'training\.epochs'; expected KEY=VALUE, such as"),
    "a name that is a path": (NOTHING, ("--name", "../topics"), 2, r"name: string should match pattern.*\.\./topics"),
    "more frozen layers than there are": (NOTHING, ("--set", "training.frozen_layers=9"), 2,
        r"frozen_layers is 9; expected 0 to 2, the model's layers"),
    "longer texts than the model reads": (NOTHING, ("--set", "text.max_tokens=4000"), 2,
        r"text\.max_tokens is 4000; expected at most 40, the positions of encoder"),
    "a model that is nowhere": (NOTHING, ("--model", "./bert"), 1,
        r"model '\./bert' is not a directory; expected a checkpoint directory, a hub name \(org/model\) or one of a"),
    "a model that is a file": (NOTHING, ("--model", "train.csv"), 1, r"train\.csv is not a directory"),
    "pickled weights": (spoilt(only_pickled), (), 1,
        r"holds pickled weights \(pytorch_model\.bin\), which can run code.*expected model\.safetensors\. Convert it"),
    "weights cut short": (spoilt(cut), (), 1,
        r"has \d+ bytes, its header promises \d+; expected a whole file\. It was cut short"),
    "no tokenizer": (spoilt(lambda path: (path / "tokenizer.json").unlink()), (), 1,
        r"encoder lacks tokenizer\.json; expected config\.json, model\.safetensors and tokenizer\.json\. Save model"),
    "another model's tokenizer": (spoilt(foreign_tokenizer), (), 1,
        r"makes 1500 different ids, the embedding table has \d+ rows; expected the tokenizer the model.*Copy tok"),
    "a family we do not know": (spoilt(family), (), 1, r"model type 'gpt2'; expected one of bert, .*Choose a check"),
}  # fmt: skip


@pytest.fixture
def folder(world, tmp_path, monkeypatch) -> Path:
    """A working directory with a good checkpoint and good data, for a case to spoil."""
    shutil.copytree(world.checkpoint, tmp_path / "encoder")
    write_rows(tmp_path / "train.csv", ROWS)
    write_rows(tmp_path / "test.csv", labelled_rows(8, seed=6))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finetune(*more, store="store"):
    sets = [part for one in (*QUICK, "measure=null") for part in ("--set", one)]
    sources = ["--model", "encoder", "--train", "train.csv", "--test", "test.csv"]
    return penjing("finetune", "--name", "topics", *sources, "--store", store, *sets, *more)


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_and_nothing_is_written(folder, case):
    write, arguments, status, said = CASES[case]
    write(folder)
    ran = finetune(*arguments)
    assert re.search(said, ran.err, re.DOTALL), ran.err
    assert (ran.status, ran.out) == (status, "")
    assert "Traceback" not in ran.err
    assert Store(folder / "store").models() == []
    assert not list(folder.rglob(".staging*"))


def test_errors_are_data_for_programs(folder):
    error = finetune("--json", "--model", "./bert").json["error"]
    assert error["code"] == "checkpoint"
    assert error["came"] == "model './bert' is not a directory"
    assert set(error) == {"code", "came", "expected", "do"}


def test_texts_in_both_splits_are_reported_where_they_may_be(folder):
    write_rows(folder / "test.csv", [*ROWS[:3], *labelled_rows(8, seed=6)])
    ran = finetune("--set", "training.frozen_layers=9")  # stops once the data are read
    assert re.search(r"! .*3 .*(test|train)", ran.err), ran.err


def test_a_store_that_is_a_file_is_told(folder):
    ran = finetune(store="train.csv")
    assert ran.status == 1
    assert re.search(r"train\.csv.*expected", ran.err), ran.err
    assert "Traceback" not in ran.err


def test_a_port_in_use_is_told_with_its_holder(made):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ran = penjing("serve", "--store", made.store, "--port", port)
    assert ran.status == 1
    assert f"port {port} on 127.0.0.1 is in use by process" in ran.err
    assert "expected a free port. Stop that process, or choose another port" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [["finetun"], ["finetune", "--epoch", "3"], ["serve", "--port", "99999"], ["quickstart", "--port", "99999"], []],
)
def test_wrong_usage_exits_with_two(arguments):
    ran = penjing(*arguments)
    assert ran.status == 2
    assert "Traceback" not in ran.err


def test_a_directory_in_the_way_of_a_file_is_told(store, tmp_path):
    ran = penjing("predict", "topics/1", "text", "--output", tmp_path, "--store", store)
    assert ran.status == 1
    assert "Traceback" not in ran.err
    (tmp_path / "file").touch()
    ran = penjing("evaluate", "topics/1", "--report", tmp_path / "file" / "report.html", "--store", store)
    assert ran.status == 1
    assert "file" in ran.err
    assert "Traceback" not in ran.err
