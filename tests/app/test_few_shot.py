from __future__ import annotations

import csv

import numpy as np

import penjing as package
from app.calling import penjing, settings
from app.world import LABELS, UNMEASURED, labelled_rows, write_rows
from penjing.app.contrast import pairs_of
from penjing.store import Store

FEW = ("few_shot.passes=20", "few_shot.learning_rate=2e-3", "few_shot.batch_size=16", "training.frozen_layers=2")


def test_a_pair_is_of_one_label_and_of_two_texts_where_there_are_two():
    targets = np.array([0, 0, 1, 2, 2, 2])
    pairs = pairs_of(targets, passes=3, seed=1)
    assert pairs.shape == (18, 2)
    assert (targets[pairs[:, 0]] == targets[pairs[:, 1]]).all()
    assert set(pairs[pairs[:, 0] == pairs[:, 1]][:, 0].tolist()) == {2}, "the only one of its label"
    np.testing.assert_array_equal(pairs, pairs_of(targets, passes=3, seed=1))


def test_four_texts_a_label_are_enough_for_an_ordinary_classifier(world, tmp_path):
    rows = labelled_rows(96, seed=8)
    train, test = write_rows(tmp_path / "train.csv", rows[:16]), write_rows(tmp_path / "test.csv", rows[16:])
    ran = penjing("finetune", "--name", "few", "--model", world.checkpoint, "--train", train, "--test", test, "--store",
                  tmp_path / "s", "--json", *settings(*UNMEASURED, *FEW))  # fmt: skip
    assert ran.status == 0, ran.err
    assert "320 pairs" in ran.err
    assert ran.json["metrics"]["accuracy"]["value"] > 0.5
    manifest = Store(tmp_path / "s").bundle("few").manifest
    assert manifest.recipe["few_shot"]["passes"] == 20
    with test.open(encoding="utf-8", newline="") as file:
        text = next(csv.DictReader(file))["text"]
    (answer,) = package.predict("few", [text], store=tmp_path / "s")
    assert answer.label in LABELS


def test_it_is_refused_where_it_has_no_meaning(world, tmp_path):
    base = ["finetune", "--name", "few", "--model", world.checkpoint, "--train", world.train, "--store", tmp_path / "s"]
    several = penjing(*base, *settings("few_shot.passes=1", "data.problem_type=multi_label_classification"))
    assert several.status == 2
    assert "few_shot is of single_label_classification, not of multi_label_classification" in several.err
    adapters = penjing(*base, *settings("few_shot.passes=1", "training.delta.method=lora"))
    assert "give one of them" in adapters.err
