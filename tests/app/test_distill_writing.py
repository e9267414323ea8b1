"""``penjing distill`` for models that write: by the teacher's translations, and word by word; and what is refused."""

from __future__ import annotations

import json

import pytest

from app.calling import penjing, settings
from app.decoder_world import make_decoder
from app.parallel_world import QUICK, make_checkpoint, write_files
from penjing.store import Store

LEARN = settings(*(f"{key}={value}" for key, value in QUICK.items() if key.startswith("training.")))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A store with ``numbers/1``, which translates, and the checkpoint that it began from."""
    folder = tmp_path_factory.mktemp("numbers")
    write_files(folder)
    checkpoint, store = make_checkpoint(folder / "marian"), folder / "store"
    told = settings(*(f"{key}={value}" for key, value in QUICK.items()))
    sources = ["--model", checkpoint, "--train", folder / "train.{en,zh}", "--test", folder / "test.{en,zh}"]
    ran = penjing("finetune", "--name", "numbers", "--task", "translation", *sources, "--store", store, *told)
    assert ran.status == 0, ran.err
    return store, checkpoint


def distilling(store, *more, name="small", teacher="numbers/1"):
    return penjing("distill", teacher, "--name", name, "--store", store, "--json", *LEARN, *more)


def test_a_student_learns_what_the_teacher_wrote(numbers, tmp_path):
    store, checkpoint = numbers
    more = tmp_path / "more.csv"
    more.write_text("text\none two three four five six seven\n\nnine nine nine nine nine nine\n", encoding="utf-8")
    ran = distilling(store, "--student", checkpoint, "--unlabelled", more, "--alpha", 1, *settings("sequence=true"))
    assert ran.status == 0, ran.err
    assert " sources with the teacher's translations" in ran.err
    manifest = Store(store).bundle("small", 1).manifest
    assert manifest.task == "translation"
    (kept,) = (store / ".teacher-outputs").glob("*.jsonl")
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 402
    assert manifest.metrics["agreement"].value > 0.1  # the teacher knows half, the student learns from 400 texts
    assert "bleu_difference" in manifest.metrics
    assert manifest.parents[0].name == "numbers/1"
    assert penjing("predict", "small/1", "two three", "--store", store).status == 0
    ran = penjing("quantize", "small/1", "--store", store, *settings("quantize.max_drop=null"))
    assert ran.status == 0, ran.err


def test_a_teacher_is_followed_word_by_word(numbers):
    store, _ = numbers
    gently = settings("training.epochs=1", "training.learning_rate=1e-4")
    ran = distilling(store, "--layers", 1, "--alpha", 0, *gently, name="words")
    assert ran.status == 0, ran.err
    assert Store(store).bundle("words", 1).manifest.metrics["agreement"].value > 0.8


def test_what_writers_do_not_have_is_refused(numbers):
    store, _ = numbers
    assert "the term kl" in distilling(store, *settings("distill.terms={mse: 1.0}")).err
    assert "sequence: true" in distilling(store, "--unlabelled", "x.txt").err


def test_a_language_model_teaches_one_of_fewer_layers(tmp_path):
    rows = [{"prompt": f"the {word} is", "completion": f" in {word}"} for word in ("hat", "tin", "ant", "den") * 8]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows[:4] * 4), encoding="utf-8")
    store = tmp_path / "store"
    ran = penjing("export", make_decoder(tmp_path / "llama"), "--name", "writer", "--store", store)
    assert ran.status == 0, ran.err
    told = ["--layers", 1, "--data", data, "--alpha", 0.2, *settings("training.epochs=1", "data.on_leak=report")]
    ran = distilling(store, *told, *settings("data.test_fraction=0.3", "max_tokens=64"), teacher="writer/1")
    assert ran.status == 0, ran.err
    bundle = Store(store).bundle("small", 1)
    assert json.loads((bundle.path / "checkpoint" / "config.json").read_text())["num_hidden_layers"] == 1
    assert bundle.manifest.metrics["perplexity"].value > 1
