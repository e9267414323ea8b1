"""Frozen layers computed once: the same run to float16 rounding, wherever there is room."""

from __future__ import annotations

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from models.tiny import tiny_model
from penjing.core.errors import PenjingError
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import pack_flat
from penjing.train.frozen import FrozenFeatures
from penjing.train.recipe import TrainingRecipe
from train.toy import FAST, Watcher, run, toy_encoder, toy_set, weights_of

DATA = toy_set(40, longest=30)


@pytest.mark.parametrize("layers", [1, 3])
def test_features_are_the_hidden_states_to_float16_rounding(layers):
    encoder = toy_encoder()
    features = FrozenFeatures(encoder, DATA.sequences, layers=layers, progress=Watcher())
    rows = np.array([5, 0, 39, 17])
    start, states = features.after(rows)
    with torch.no_grad():
        batch = PackedTensors.of(pack_flat([DATA.sequences[row] for row in rows]))
        expected = encoder.hidden_after(layers, batch)
    assert (start, states.dtype) == (layers, torch.float32)
    np.testing.assert_allclose(states, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "mpnet", "electra"])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_cached_run_is_the_uncached_one(family, layers):
    histories = []
    for mib in (0, 100):
        encoder = PackedEncoder(tiny_model(family, dtype=torch.float32))
        settings = {"frozen_layers": layers, "frozen_cache_mib": mib, "learning_rate": 1e-4, "epochs": 2}
        histories.append([record["loss"] for record in run(encoder, DATA, **settings).history])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-2)


def for_run(encoder, watcher=None, **settings):
    recipe = TrainingRecipe(**{**FAST, "frozen_layers": 1, **settings})
    return FrozenFeatures.for_run(encoder, DATA.sequences, recipe=recipe, progress=watcher or Watcher())


@pytest.mark.parametrize("settings", [{"frozen_layers": 0}, {"epochs": 1}, {"frozen_cache_mib": 0}])
def test_features_are_kept_only_where_they_pay(settings):
    assert for_run(toy_encoder()) is not None
    assert for_run(toy_encoder(), **settings) is None


@contextmanager
def small_files(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_the_layers_are_computed_each_epoch():
    watcher = Watcher()
    with small_files(1000):
        assert for_run(toy_encoder(), watcher) is None
    assert watcher.said == ["No room for the frozen layers' states (File too large); computing them each epoch."]


def test_the_room_is_taken_before_it_is_written_to(monkeypatch):
    """A map of a file with holes ends the process with SIGBUS when the disk is full."""

    def full(handle, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("penjing.train.frozen.os.posix_fallocate", full)
    straight, encoder, watcher = toy_encoder(), toy_encoder(), Watcher()
    run(straight, DATA, frozen_layers=2, frozen_cache_mib=0)
    run(encoder, DATA, frozen_layers=2, watcher=watcher)
    assert "No space left on device" in watcher.said[0]
    for name, weight in weights_of(straight).items():
        np.testing.assert_array_equal(weight, weights_of(encoder)[name], err_msg=name)


def test_states_beyond_float16_are_refused():
    encoder = toy_encoder()
    with torch.no_grad():
        encoder.model.bert.encoder.layer[0].output.LayerNorm.weight.fill_(1e5)
    with pytest.raises(PenjingError, match=r"do not fit float16.*frozen_cache_mib to 0"):
        for_run(encoder)


def test_threads_are_given_back_after_the_pass():
    torch.set_num_threads(2)
    for_run(toy_encoder())
    assert torch.get_num_threads() == 2
