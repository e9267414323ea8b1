"""Zeros: which weights go, how fast, and that they stay away, over a kill too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.tiny import tiny_decoder
from penjing.core.errors import UsageError
from penjing.models.decoder import packed_model
from penjing.tasks import text_classification
from penjing.train.loop import train
from penjing.train.recipe import SparsityRecipe, TrainingRecipe
from penjing.train.sparsity import layer_matrices, sparsity_of, zero_smallest
from penjing.train.state import StateDirectory
from train.toy import FAST, run, toy_encoder, toy_set, weights_of


@pytest.mark.parametrize("scope", ["global", "matrix"])
def test_the_least_go_until_the_share_is_reached(scope):
    torch.manual_seed(0)
    matrices = [torch.randn(8, 10) * size for size in (1, 5)]
    matrices[0][0, 0] = 0
    before = [one.clone() for one in matrices]
    zero_smallest(matrices, [one.abs() for one in matrices], share=0.5, scope=scope)
    assert sparsity_of(matrices) == 0.5
    assert matrices[0][0, 0] == 0
    groups = [(matrices, before)] if scope == "global" else [([a], [b]) for a, b in zip(matrices, before, strict=True)]
    for left, was in groups:
        here, there = (torch.cat([one.reshape(-1) for one in some]) for some in (left, was))
        assert there[here == 0].abs().max() < here[here != 0].abs().min()
        assert torch.equal(here[here != 0], there[here != 0])
    if scope == "matrix":
        assert [sparsity_of([one]) for one in matrices] == [0.5, 0.5]


def test_sparsity_rises_fast_at_first():
    told = SparsityRecipe(share=0.8, begin=0.2, end=0.6)
    assert [told.share_at(done) for done in (0, 0.2, 0.6, 1)] == [0, 0, 0.8, 0.8]
    assert told.share_at(0.4) == pytest.approx(0.8 * (1 - 0.5**3))


@pytest.mark.parametrize("by", ["magnitude", "movement", "taylor"])
def test_a_run_ends_as_sparse_as_it_was_told_and_still_learns(by):
    encoder, data = toy_encoder(), toy_set(96)
    done = run(encoder, data, epochs=8, sparsity=SparsityRecipe(share=0.6, by=by, every_steps=2))
    assert sparsity_of(layer_matrices(encoder)) == pytest.approx(0.6, abs=1e-3)
    losses = [record["loss"] for record in done.history]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("keep", ["last", "average"])
def test_zeros_stay_where_they_were(keep):
    encoder = toy_encoder()
    matrices = layer_matrices(encoder)
    zero_smallest(matrices, [one.detach().abs() for one in matrices], share=0.7, scope="matrix")
    before = [one == 0 for one in matrices]
    run(encoder, toy_set(32), epochs=2, keep=keep)
    assert all(torch.equal(one == 0, mask) for one, mask in zip(matrices, before, strict=True))
    run(encoder, toy_set(32), epochs=1, keep_zeros=False)
    assert sparsity_of(matrices) < 0.01


def test_an_average_is_as_sparse_as_the_last_weights():
    encoder = toy_encoder()
    run(encoder, toy_set(64), epochs=3, keep="average", sparsity=SparsityRecipe(share=0.5, every_steps=1))
    assert sparsity_of(layer_matrices(encoder)) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("by", ["magnitude", "movement"])
def test_a_killed_run_ends_with_the_same_zeros(by, tmp_path):
    told = TrainingRecipe(
        **FAST | {"epochs": 3, "save_every_s": 0, "sparsity": SparsityRecipe(share=0.6, by=by, every_steps=2)}
    )
    found = []
    for kills in (False, True):
        encoder, states = toy_encoder(), StateDirectory(tmp_path / f"{by}{kills}", run_id="run")
        given = {"recipe": told, "seed": 0, "states": states}
        if kills:
            with pytest.raises(KeyboardInterrupt):
                train(encoder, toy_set(64), _killed_at(9), **given)
            encoder = toy_encoder()
        resumed = train(encoder, toy_set(64), text_classification.loss, **given).resumed_at
        assert (resumed > 3) == kills
        found.append(weights_of(encoder))
    for name, weight in found[0].items():
        np.testing.assert_array_equal(found[1][name], weight, err_msg=name)


def _killed_at(call):
    calls = iter(range(1000))

    def objective(*given):
        if next(calls) == call:
            raise KeyboardInterrupt
        return text_classification.loss(*given)

    return objective


@pytest.mark.parametrize(
    "wrong",
    [{"share": 0}, {"share": 1}, {"share": 0.5, "begin": 0.8, "end": 0.3}, {"share": 0.5, "by": "luck"}],
)
def test_what_no_sparsity_is_is_refused(wrong):
    with pytest.raises(ValidationError):
        SparsityRecipe(**wrong)


def test_sparsity_does_not_go_with_the_best_look_nor_with_a_model_that_writes():
    with pytest.raises(ValidationError, match="no delta, no best"):
        TrainingRecipe(sparsity={"share": 0.5}, keep="best", validate_every=1)
    told = TrainingRecipe(**FAST | {"sparsity": {"share": 0.5}})
    with pytest.raises(UsageError, match="encoder"):
        train(packed_model(tiny_decoder("llama"), None), toy_set(8), text_classification.loss, recipe=told, seed=0)
