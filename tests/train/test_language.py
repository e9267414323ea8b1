"""Masks drawn anew each epoch, and the same ones after any number of stops; next tokens in packed rows."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.tiny import tiny_model
from penjing.core.nouns import Task
from penjing.models.packed import PackedEncoder, padded_outputs
from penjing.tokens import Encoding
from penjing.tokens.masking import Masker, MaskingRecipe, Vocabulary
from penjing.train.language import masked_set, next_token_set, token_loss
from penjing.train.state import StateDirectory
from train.toy import Watcher, run, weights_of

RNG = np.random.default_rng(1)
TEXTS = [Encoding(np.concatenate([[2], RNG.integers(5, 99, length), [3]])) for length in RNG.integers(1, 20, 40)]
LENGTHS = np.array([len(one) for one in TEXTS])


def masker(**more):
    special = np.arange(99) < 5
    return Masker(Vocabulary(4, "[MASK]", special, ~special), MaskingRecipe(**more))


def masked(**more):
    return masked_set(TEXTS, masker(**more), seed=7, lengths=LENGTHS)


def encoder():
    return PackedEncoder(tiny_model("bert", Task.FILL_MASK, dtype=torch.float32))


def test_an_epoch_has_its_own_masks_whoever_asks_for_them():
    first, second, again = masked(), masked().in_epoch(1), masked().in_epoch(2).in_epoch(1)
    places = [[part.sequences[row].chosen.tolist() for row in range(40)] for part in (first, second, again)]
    assert places[0] != places[1]
    assert places[1] == places[2]
    rows = np.array([3, 0, 17])
    assert first.weight_of(rows) == len(first.targets_of(rows)) == sum(len(places[0][row]) for row in rows)


class StoppedError(Exception):
    """What the test stops the loop with."""


@pytest.mark.parametrize("unit", ["token", "span"])
def test_any_number_of_stops_changes_no_bit(tmp_path, monkeypatch, unit):
    ticks = itertools.count()
    monkeypatch.setattr("penjing.train.loop.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    told = {"objective": token_loss, "dropout": 0.1, "save_every_s": 7.0, "epochs": 3}
    straight, moments = encoder(), random.Random(0)
    whole = run(straight, masked(unit=unit), **told)
    stops = 0
    while True:
        stopped, last = encoder(), moments.randrange(2, 12)

        def stop(done, last=last):
            if done == last:
                raise StoppedError

        states = StateDirectory(tmp_path, run_id="this run")
        try:
            done = run(stopped, masked(unit=unit), states=states, watcher=Watcher(stop), **told)
        except StoppedError:
            stops += 1
            continue
        break
    assert stops
    for (name, one), other in zip(weights_of(straight).items(), weights_of(stopped).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert done.steps == whole.steps


def test_the_loss_is_that_of_transformers_on_padded_rows():
    data, model = masked(), tiny_model("bert", Task.FILL_MASK)
    labels = [np.full(len(one), -100) for one in TEXTS]
    for row, own in enumerate(labels):
        own[data.sequences[row].chosen] = data.targets[row]
    sequences = [replace(data.sequences[row], chosen=None) for row in range(40)]
    with torch.no_grad():
        every = padded_outputs(model, sequences)
    reference = torch.nn.functional.cross_entropy(every, torch.from_numpy(np.concatenate(labels)))
    packed = PackedEncoder(tiny_model("bert", Task.FILL_MASK, dtype=torch.float64))
    done = run(packed, data, objective=token_loss, epochs=1, batch_size=40, learning_rate=1e-12)
    assert done.history[0]["loss"] == pytest.approx(float(reference), rel=1e-5)


def test_every_token_but_the_first_is_a_next_one():
    data = next_token_set(TEXTS, lengths=LENGTHS)
    for row in (0, 5, 39):
        assert data.sequences[row].chosen.tolist() == list(range(len(TEXTS[row]) - 1))
        assert data.targets[row].tolist() == TEXTS[row].ids[1:].tolist()
    assert data.weight_of(np.array([0, 5])) == LENGTHS[0] + LENGTHS[5] - 2
