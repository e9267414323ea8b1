"""``penjing compress`` for entities and for answers, where teacher and student must read the same tokens."""

from __future__ import annotations

import pytest

from app.calling import penjing, settings
from app.world import BRIEF, make_checkpoint
from cycle.questions import WORDS, write_squad
from cycle.test_token_classification import write_conll
from penjing.store import Store

LEARN = ("training.threads=1", "training.batch_size=16", "training.learning_rate=5e-3", "training.dropout=0")
TEXT = ("text.max_tokens=32", "text.stride=8", "data.on_leak=report", "measure=null")


def entities(folder):
    train, test = write_conll(folder / "train.conll", 200, 1), write_conll(folder / "test.conll", 40, 2)
    make_checkpoint(folder / "encoder", [line.split("\t")[0] for line in train.read_text().splitlines() if line] * 2)
    return train, test


def questions(folder):
    make_checkpoint(folder / "encoder", [WORDS] * 9)
    return write_squad(folder / "train.json", 240, 1), write_squad(folder / "test.json", 60, 2)


@pytest.mark.parametrize(("task", "write"), [("token-classification", entities), ("question-answering", questions)])
def test_a_contract_is_kept_for_tasks_that_go_token_by_token(task, write, tmp_path):
    train, test = write(tmp_path)
    store = tmp_path / "store"
    sources = ["--model", tmp_path / "encoder", "--train", train, "--test", test, "--store", store]
    ran = penjing("finetune", "--name", "it", "--task", task, *sources, *settings(*LEARN, *TEXT, "training.epochs=15"))
    assert ran.status == 0, ran.err
    told = settings(*LEARN, *BRIEF, "training.epochs=8", "layers=[1]")
    asked = ["compress", "it/1", "--name", "less", "--store", store, *told, "--max-drop", 0.9, "--min-speedup", 0.01]
    ran = penjing(*asked, "--json")
    assert ran.status == 0, ran.err
    assert "student of 1, int8" in ran.err
    manifest = Store(store).bundle("less", 1).manifest
    assert manifest.task == task
    assert manifest.metrics["f1_difference"].low >= -0.9
    assert penjing("evaluate", "less/1", "--store", store).status == 0
