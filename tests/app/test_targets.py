"""Heads and neurons for a target, on a machine whose costs are known: kept, missed and mended, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.tiny import random_sequences, tiny_model
from penjing.app.engine_files import EngineFile
from penjing.app.smaller_recipes import TargetRecipe
from penjing.app.targets import reach
from penjing.core.errors import GateRefusal
from penjing.core.progress import SILENT
from penjing.models.lean import living_heads, living_neurons
from penjing.models.packed import PackedEncoder
from penjing.models.surgery import empty_heads
from penjing.train.importance import part_importance
from penjing.train.training_set import TrainingSet

DATA = TrainingSet(random_sequences([3, 9, 1, 6]), np.zeros(4, np.int64))


def total(given, *_):
    return given.square().sum()


class KnownMachine:
    """Costs by what lives in a model; ``overhead`` slows whole models beyond what a table can know."""

    engine, precision, reads = "onnxruntime", "fp32", "first"

    def __init__(self, overhead=0.0):
        self.texts, self.overhead, self.made = DATA.sequences, overhead, []

    def file_of(self, model):
        parts = PackedEncoder(model).parts
        heads = [int(living_heads(layer, parts.heads).sum()) for layer in parts.layers]
        neurons = [int(living_neurons(layer).sum()) for layer in parts.layers]
        ms = 0.1 + 0.01 * len(heads) + 0.2 * sum(heads) + 0.02 * sum(neurons)
        if 0 < sum(heads) + sum(neurons) < 100:  # neither a chain of which nothing lives nor the whole
            ms += self.overhead
        self.made.append(ms)
        size = 8 * (4 * 32 + 3) * sum(heads) * 4 + (2 * 32 + 1) * sum(neurons) * 4 + 10_000
        return EngineFile(self.engine, Path(str(len(self.made) - 1)), size)

    def times_ms(self, files):
        return [self.made[int(str(file.path))] for file in files]


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))


def reached(target, machine=None, model=None):
    model = model or tiny_model("bert")
    machine = machine or KnownMachine()
    told = reach(TargetRecipe(**target, block=8), model, some=DATA, objective=total, exporter=machine, progress=SILENT)
    return model, machine, " ".join(told)


def test_the_speed_that_was_asked_for_is_had_at_once_where_the_table_is_right():
    model, machine, told = reached({"speedup": 2})
    whole = machine.made[0]
    assert whole / 2.2 < machine.made[-1] <= whole / 2
    assert f"predicted {whole / machine.made[-1]:.2f} times as fast" in told
    _, again, _ = reached({"speedup": 2})
    assert len(again.made) == 2  # the table was kept: the whole model, and the one that was chosen
    assert len({int(living_heads(layer, 4).sum()) for layer in PackedEncoder(model).parts.layers}) > 1


def test_where_the_truth_falls_short_the_choice_is_made_anew():
    reached({"speedup": 2})  # fills the table
    _, machine, told = reached({"speedup": 2}, KnownMachine(overhead=0.6))
    assert len(machine.made) > 2
    assert machine.made[-1] <= machine.made[0] / 2
    assert "measured 2." in told


@pytest.mark.parametrize(
    ("target", "overhead", "said"),
    [
        ({"speedup": 900}, 0, "without any head or neuron it would be"),
        ({"speedup": 2}, 50, "the best found is 0."),
        ({"max_mb": 0.001}, 0, "0.01 MB"),
    ],
)
def test_what_cannot_be_reached_is_refused_with_the_best_that_was_found(target, overhead, said):
    if overhead:
        reached(target)  # fills the table
    with pytest.raises(GateRefusal, match=said):
        reached(target, KnownMachine(overhead=overhead))


def test_a_size_is_kept_and_nearly_used_up():
    model, machine, told = reached({"max_mb": 0.05})
    size = machine.file_of(model).bytes
    assert 0.045e6 < size <= 0.05e6
    assert "MB" in told


def test_parts_without_a_slope_go_first():
    model = tiny_model("bert")
    empty_heads(model, [np.arange(4), np.array([0, 2]), np.arange(4)])
    heads, neurons = part_importance(PackedEncoder(model), DATA, total)
    assert (heads[1] > 0).tolist() == [True, False, True, False]
    assert [len(one) for one in neurons] == [48] * 3
    reached({"max_mb": 0.075}, model=model)
    assert living_heads(PackedEncoder(model).parts.layers[1], 4).tolist()[1::2] == [False, False]
