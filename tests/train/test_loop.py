"""The loop's arithmetic: what a step is, that it learns, and that it stops where numbers end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from models.tiny import random_sequences
from penjing.core.errors import DataError, DivergenceError, UsageError
from penjing.tasks import text_classification
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe, resolve_precision
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet
from train.toy import FAST, Watcher, run, toy_encoder, toy_set, weights_of


def one_step(data, pass_tokens):
    encoder = toy_encoder(torch.float64)
    done = run(encoder, data, epochs=1, batch_size=len(data.sequences), pass_tokens=pass_tokens, clip_norm=None)
    assert done.steps == 1
    return done.history[0], {name: weight.grad for name, weight in encoder.model.named_parameters()}


def test_a_step_split_into_passes_equals_the_whole_step():
    data = toy_set(60, longest=30)
    whole, whole_gradients = one_step(data, pass_tokens=10_000)
    split, split_gradients = one_step(data, pass_tokens=128)
    assert split["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert split["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-6)
    for name, gradient in whole_gradients.items():
        if gradient is not None:
            np.testing.assert_allclose(split_gradients[name], gradient, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
def test_no_pass_exceeds_its_tokens_but_for_a_single_long_sequence(seed):
    lengths = np.random.default_rng(seed).integers(1, 79, 40)
    lengths[3] = 80
    data = TrainingSet(random_sequences(list(lengths)), np.zeros(40, np.int64))
    encoder, cells = toy_encoder(), []
    encoder.register_forward_pre_hook(lambda _, inputs: cells.append(len(inputs[0].ids)))
    run(encoder, data, epochs=1, batch_size=40, pass_tokens=128)
    assert sum(cells) == lengths.sum()
    assert max(cells) <= 128
    assert len(cells) < 2 * lengths.sum() / 128, "passes are not needlessly small"


def test_a_sequence_longer_than_a_pass_goes_alone():
    data = TrainingSet(random_sequences([10, 10, 70, 10, 10]), np.zeros(5, np.int64))
    encoder, cells = toy_encoder(), []
    encoder.register_forward_pre_hook(lambda _, inputs: cells.append(len(inputs[0].ids)))
    told = TrainingRecipe(**{**FAST, "epochs": 1}).model_copy(update={"pass_tokens": 64})  # too few for a recipe
    train(encoder, data, text_classification.loss, recipe=told, seed=0)
    assert 70 in cells
    assert sum(cells) == 110


def test_it_learns_what_can_be_learnt():
    data, encoder = toy_set(96), toy_encoder()
    done = run(encoder, data, epochs=8)
    losses = [record["loss"] for record in done.history]
    assert losses[-1] < 0.2 * losses[0]
    assert done.tokens == 8 * sum(len(sequence) for sequence in data.sequences)
    assert [record["seen"] for record in done.history] == sorted(record["seen"] for record in done.history)
    assert done.history[-1]["seen"] == done.tokens


def test_the_seed_decides_order_and_dropout():
    weights = []
    for seed in (1, 1, 2):
        encoder = toy_encoder()
        run(encoder, toy_set(32), seed=seed, dropout=0.3)
        weights.append(weights_of(encoder)["classifier.weight"])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


def test_frozen_layers_stay_as_they_were():
    encoder, before = toy_encoder(), weights_of(toy_encoder())
    run(encoder, toy_set(32), frozen_layers=2, frozen_cache_mib=0)
    changed = {name for name, weight in weights_of(encoder).items() if (weight != before[name]).any()}
    assert any("layer.2" in name for name in changed)
    assert not any("embeddings" in name or "layer.0" in name or "layer.1" in name for name in changed)


def test_numbers_that_end_stop_the_run_and_nothing_is_saved_after(tmp_path):
    encoder, calls = toy_encoder(), []

    def spoilt(logits, targets, lengths):
        calls.append(1)
        loss = text_classification.loss(logits, targets, lengths)
        return loss * float("nan") if len(calls) == 6 else loss

    states = StateDirectory(tmp_path, run_id="x")
    with pytest.raises(DivergenceError, match=r"at step 5 the loss is nan.*expected finite.*learning_rate"):
        run(encoder, toy_set(64), states=states, save_every_s=0.0, objective=spoilt, leave_out=0)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005"]
    assert all(np.isfinite(weight).all() for weight in weights_of(encoder).values())


def test_weights_that_are_no_numbers_stop_the_run_at_its_first_step(tmp_path):
    encoder = toy_encoder()
    with torch.no_grad():
        encoder.model.bert.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
    with pytest.raises(DivergenceError, match="at step 0 the loss is nan"):
        run(encoder, toy_set(32), states=StateDirectory(tmp_path, run_id="x"), save_every_s=0.0)
    assert list(tmp_path.iterdir()) == []


def test_an_infinite_gradient_stops_the_run_too():
    with pytest.raises(DivergenceError, match="at step 0 the loss is 0 and the gradient norm nan"):
        run(
            toy_encoder(),
            toy_set(32),
            objective=lambda logits, *_: (logits - logits.detach()).square().sqrt().sum(),
            leave_out=0,
        )


def test_impossible_runs_are_refused():
    with pytest.raises(DataError, match="training split is empty; expected at least one row"):
        run(toy_encoder(), TrainingSet([], np.zeros(0, np.int64)))
    with pytest.raises(UsageError, match="frozen_layers is 4; expected 0 to 3"):
        run(toy_encoder(), toy_set(8), frozen_layers=4)


def test_memory_is_flat_over_the_steps():
    pages = []

    def look(step):
        if step in (60, 400):
            pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

    run(toy_encoder(), toy_set(200), epochs=16, watcher=Watcher(look))
    assert (pages[1] - pages[0]) * os.sysconf("SC_PAGE_SIZE") < 8 << 20


def test_precision_is_what_the_processor_multiplies(monkeypatch):
    assert resolve_precision("bf16") == "bf16"
    for instructions, expected in (((), "fp32"), (("amx_bf16",), "bf16")):
        machine = type("Machine", (), {"instructions": instructions})
        monkeypatch.setattr("penjing.train.recipe.describe_machine", lambda machine=machine: machine)
        assert resolve_precision("auto") == expected


def test_bf16_learns_as_well():
    done = run(toy_encoder(), toy_set(64), epochs=6, precision="bf16")
    assert done.precision == "bf16"
    assert done.history[-1]["loss"] < 0.5 * done.history[0]["loss"]


def test_what_belongs_together_is_drawn_together_in_one_pass():
    sequences = random_sequences([5, 9] * 10)
    numbers = np.arange(20, dtype=np.float64)
    seen, passes = [], []

    def objective(outputs, targets, lengths):
        seen.append(targets.numpy().astype(int))
        return outputs.square().sum()

    encoder = toy_encoder()
    encoder.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0].lengths)))
    data = TrainingSet(sequences, numbers, (np.arange(20) % 2 == 0).astype(np.int64), together=2)
    done = run(encoder, data, objective=objective, epochs=2, batch_size=4, pass_tokens=128)
    assert done.steps == 6
    assert passes == [8, 8, 4] * 2
    for step in seen:
        assert (step[::2] % 2 == 0).all()
        np.testing.assert_array_equal(step[1::2], step[::2] + 1)
    assert sorted(np.concatenate(seen[:3])) == list(range(20))
    assert done.tokens == 2 * 140
