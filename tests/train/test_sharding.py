"""A model that two real processes hold in parts ends as one that one process holds; states and weights are whole."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file

from models.tiny_writers import tiny_writer
from penjing.core.errors import UsageError
from penjing.models.decoder import packed_model
from penjing.train.ranks import Ranks
from penjing.train.recipe import TrainingRecipe
from penjing.train.sharding import spread
from train.rank_worker import train_here
from train.test_ranks import both

FULL = {"sharding": "full"}


def by_two(path, **settings):
    both([sys.executable, "-m", "train.rank_worker", str(path), json.dumps(FULL | settings)])
    return [np.load(f"{path}-{rank}.npz") for rank in range(2)]


def check(found, whole):
    for name, value in whole.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("family", "keep"), [("bert", "best"), pytest.param("mpnet", "average", marks=pytest.mark.slow)]
)
def test_two_processes_with_parts_end_with_the_weights_of_one(tmp_path, family, keep):
    told = {"family": family, "keep": keep, "batch_size": 40}  # passes of 128 tokens: not as many in each process
    whole = train_here(tmp_path / "one", **told)
    for found in by_two(tmp_path / "two", **told):
        check(found, whole)
    losses = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one-0", "two-0", "two-1")]
    assert losses[1] == losses[2]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    (state,) = (tmp_path / "two.states").iterdir()
    kept = load_file(state / "weights.safetensors")
    assert {name: value.shape for name, value in kept.items()} == {name: value.shape for name, value in whole.items()}


@pytest.mark.slow
def test_a_run_that_died_goes_on_to_the_same_bits(tmp_path):
    whole = by_two(tmp_path / "whole")
    both([sys.executable, "-m", "train.rank_worker", str(tmp_path / "died"), json.dumps(FULL | {"stop": 9})])
    assert [path.name for path in (tmp_path / "died.states").iterdir()] == ["step-000000008"]
    again = by_two(tmp_path / "died")
    for name in whole[0]:
        np.testing.assert_array_equal(whole[0][name], again[0][name], err_msg=name)


@pytest.mark.slow
def test_a_decoder_ends_alike_too(tmp_path):
    whole = train_here(tmp_path / "one", family="llama", keep="last")
    for found in by_two(tmp_path / "two", family="llama", keep="last"):
        check(found, whole)


def test_an_encoder_decoder_is_refused():
    model = packed_model(tiny_writer("t5"))
    with (
        pytest.raises(UsageError, match="sharding: full of an encoder-decoder"),
        spread(model, TrainingRecipe(**FULL), Ranks(0, 2)),
    ):
        pass


def test_one_process_keeps_its_model_whole():
    model = packed_model(tiny_writer("gpt2"))
    with spread(model, TrainingRecipe(**FULL), Ranks()) as held:
        assert held is model


@pytest.mark.parametrize(
    "told", [{"delta": {}}, {"sparsity": {"share": 0.5}}, {"frozen_layers": 1}, {"optimizer": "muon"}]
)
def test_what_cannot_be_in_parts_is_refused(told):
    with pytest.raises(ValidationError, match="sharding: full is for training all weights by adamw"):
        TrainingRecipe(**FULL | told)
