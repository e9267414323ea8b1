"""Muon moves the layers' matrices by orthogonal updates, AdamW all else; a stopped run ends as one that was not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.tiny import tiny_decoder, tiny_model
from models.tiny_writers import tiny_writer
from penjing.models.packed import PackedEncoder
from penjing.train.optimiser import layer_matrices
from penjing.train.recipe import TrainingRecipe
from penjing.train.state import StateDirectory
from train.toy import FAST, Watcher, run, toy_encoder, toy_set, weights_of

DATA = toy_set(32)
MUON = {"optimizer": "muon", "weight_decay": 0.1}


class StoppedError(Exception):
    """What a test stops the loop with."""


def stop_at(step):
    def stop(done):
        if done == step:
            raise StoppedError

    return Watcher(stop)


def layered(model):
    found = layer_matrices(model)
    return {name for name, weight in model.named_parameters() if id(weight) in found}


def test_the_matrices_of_the_layers_are_found():
    bert = layered(tiny_model("bert"))
    assert len(bert) == 3 * 6
    assert all(name.startswith("bert.encoder.layer.") for name in bert)
    assert layered(tiny_decoder("gpt2")) >= {"transformer.h.0.attn.c_attn.weight", "transformer.h.2.mlp.c_proj.weight"}
    assert not [name for name in layered(tiny_decoder("llama")) if "embed" in name or "lm_head" in name]
    assert not [name for name in layered(tiny_writer("t5")) if "relative_attention_bias" in name]


def test_one_step_is_orthogonal_times_what_makes_it_as_long_as_that_of_adamw():
    begun, ended, adamw = toy_encoder(), toy_encoder(), toy_encoder()
    told = {"epochs": 0.25, "batch_size": 32, "weight_decay": 0.0, "warmup_fraction": 0.0}
    rate = run(ended, DATA, **told | {"optimizer": "muon"}).history[0]["rate"]
    run(adamw, DATA, **told)
    before, after, other = weights_of(begun), weights_of(ended), weights_of(adamw)
    for name in layered(begun.model):
        moved = after[name] - before[name]
        stretched = np.linalg.svd(moved, compute_uv=False) / (rate * 0.2 * max(moved.shape) ** 0.5)
        assert 0.3 < np.median(stretched) < 1.3, name
        assert stretched.max() < 1.3, name
        assert np.sqrt((moved**2).mean()) == pytest.approx(0.2 * rate, rel=0.35), name
    for name in set(before) - layered(begun.model):
        np.testing.assert_array_equal(after[name], other[name], err_msg=name)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, precision):
    told = MUON | {"precision": precision, "save_every_s": 0.0, "dropout": 0.1}
    whole, stopped = toy_encoder(), toy_encoder()
    run(whole, DATA, **told)
    for step in (4, 7):
        with pytest.raises(StoppedError):
            run(toy_encoder(), DATA, states=StateDirectory(tmp_path, run_id="x"), watcher=stop_at(step), **told)
    done = run(stopped, DATA, states=StateDirectory(tmp_path, run_id="x"), **told)
    assert done.resumed_at > 4
    for name, weight in weights_of(whole).items():
        np.testing.assert_array_equal(weight, weights_of(stopped)[name], err_msg=name)


def test_it_learns_and_keeps_zeros():
    encoder = toy_encoder()
    weight = encoder.parts.layers[0].up.weight
    with torch.no_grad():
        weight[:4] = 0
    history = run(encoder, toy_set(64), epochs=6, **MUON).history
    assert history[-1]["loss"] < history[0]["loss"] * 0.7
    assert bool((weight[:4] == 0).all())
    assert not bool((weight[4:] == 0).any())


def test_frozen_layers_have_no_momentum():
    encoder = PackedEncoder(tiny_model("bert", dtype=torch.float32))
    run(encoder, DATA, frozen_layers=3, **MUON)
    assert torch.equal(encoder.parts.layers[2].up.weight, toy_encoder().parts.layers[2].up.weight)


def test_a_delta_is_refused():
    with pytest.raises(ValidationError, match="optimizer: muon is for whole matrices"):
        TrainingRecipe(**FAST | MUON, delta={"method": "lora"})
