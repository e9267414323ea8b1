"""Recipes for uneven labels reach the loss, and are refused where there are no labels to count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.calling import finetuning, penjing, settings
from penjing.app.prepared import Part
from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import flow_of
from penjing.core.nouns import Task
from penjing.train.recipe import TrainingRecipe

OUTPUTS, TARGETS, LENGTHS = torch.tensor([[1.0, 0.0], [0.5, 0.0]]), torch.tensor([0, 1]), torch.ones(2)


def objective(**settings):
    targets = np.array([0, 0, 0, 1], np.int64)
    train = Part(None, [], targets)
    return flow_of(Task.TEXT_CLASSIFICATION).objective(train, TrainingRecipe(**settings))


def test_balanced_lets_the_rarer_label_count_more():
    plain = torch.nn.functional.cross_entropy(OUTPUTS, TARGETS, reduction="none")
    told = objective(class_weights="balanced")(OUTPUTS, TARGETS, LENGTHS)
    assert float(told) == pytest.approx(float(plain[0] * 4 / 6 + plain[1] * 2))
    assert float(objective()(OUTPUTS, TARGETS, LENGTHS)) == pytest.approx(float(plain.sum()))


def test_smoothing_reaches_the_loss():
    expected = torch.nn.functional.cross_entropy(OUTPUTS, TARGETS, label_smoothing=0.2, reduction="sum")
    assert float(objective(label_smoothing=0.2)(OUTPUTS, TARGETS, LENGTHS)) == pytest.approx(float(expected))


@pytest.mark.parametrize("setting", ["class_weights=balanced", "label_smoothing=0.1"])
@pytest.mark.parametrize("task", ["token-classification", "question-answering", "feature-extraction"])
def test_other_tasks_refuse_them(task, setting, tmp_path):
    refused = penjing(
        "finetune", "--task", task, "--name", "m", "--train", "x.jsonl", "--store", tmp_path,
        "--set", f"training.{setting}",
    )  # fmt: skip
    assert refused.status == 2
    assert f"class_weights and label_smoothing are of text-classification, not of {task}" in refused.err


def test_the_recipe_says_so():
    told = FinetuneRecipe(name="m", data={"train": "x.csv"}, training={"class_weights": "balanced"})
    assert told.training.class_weights == "balanced"


def test_several_labels_refuse_them(world, tmp_path):
    told = settings("data.problem_type=multi_label_classification", "training.class_weights=balanced")
    ran = penjing(*finetuning(world, tmp_path / "s", *told))
    assert ran.status == 2
    assert "are of single_label_classification, not of multi_label_classification" in ran.err
