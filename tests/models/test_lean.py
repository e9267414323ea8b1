"""Heads and neurons of zeros are left out without a change: packed, padded, in rows, and opened anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from models.test_packed import LENGTHS as LENGTHS
from models.test_packed import forward_in_rows, sorted_as
from models.tiny import random_sequences, tiny_model
from penjing.core.errors import UsageError
from penjing.core.nouns import Task
from penjing.models.families import FAMILIES
from penjing.models.lean import lean_parts, living_heads, living_neurons
from penjing.models.packed import PackedEncoder, PackedTensors, padded_outputs
from penjing.models.surgery import empty_heads, empty_neurons
from penjing.tokens import pack_sequences
from penjing.train.importance import head_importance
from penjing.train.training_set import TrainingSet

HEADS = [np.array([1, 3]), np.array([], np.int64), np.arange(4)]  # of 4
NEURONS = [np.arange(48), np.arange(0, 48, 3), np.array([], np.int64)]


@pytest.mark.parametrize("task", [Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_is_dead_is_left_out_without_a_change(family, task, tmp_path):
    model = tiny_model(family, task)
    empty_heads(model, HEADS)
    empty_neurons(model, NEURONS)
    sequences = random_sequences(LENGTHS)
    model.save_pretrained(tmp_path)
    again = getattr(transformers, type(model).__name__).from_pretrained(tmp_path).to(torch.float64).eval()
    encoder = PackedEncoder(model)
    batch = pack_sequences(sequences, width=40, reads=encoder.head.reads)
    with torch.no_grad():
        padded = padded_outputs(again, sequences, pad_id=model.config.pad_token_id or 0)
        reference = torch.cat([one for _, one in sorted_as(batch, padded)])
        encoder.leave_out_dead()
        by_segment, by_row = encoder(PackedTensors.of(batch)), forward_in_rows(encoder, batch)
    np.testing.assert_allclose(by_segment, reference, rtol=0, atol=1e-9)
    np.testing.assert_allclose(by_row, reference, rtol=0, atol=1e-9)
    first, second, third = encoder.parts.layers
    assert (first.kept, second.kept, third.kept) == ((1, 3), (), None)
    assert first.query.weight.shape == (16, 32)
    assert second.up.weight.shape == (16, 32)
    assert not list(third.up.parameters())


def test_a_model_without_zeros_stays_as_it_is():
    parts = PackedEncoder(tiny_model("bert")).parts
    assert lean_parts(parts) == parts


def test_dead_parts_stay_dead_in_training_though_nobody_holds_them():
    model = tiny_model("bert")
    empty_heads(model, HEADS)
    empty_neurons(model, NEURONS)
    encoder = PackedEncoder(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        encoder(PackedTensors.of(pack_sequences(random_sequences(LENGTHS)))).square().sum().backward()
        optimiser.step()
    assert [int(living_heads(layer, 4).sum()) for layer in encoder.parts.layers] == [2, 0, 4]
    assert [int(living_neurons(layer).sum()) for layer in encoder.parts.layers] == [48, 16, 0]


@pytest.mark.parametrize("task", [Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION])
def test_importance_of_a_head_is_the_slope_of_the_loss_at_its_share(task):
    model = tiny_model("bert", task)
    data = TrainingSet(random_sequences([3, 9, 1, 6]), np.zeros(4, np.int64))
    encoder = PackedEncoder(model)

    def total(given, *_):
        return given.square().sum()

    found = head_importance(encoder, data, total)
    assert found.shape == (3, 4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    slopes = np.zeros(4)
    step = 1e-3  # losses are taken in float32
    for head in range(4):
        for row in range(4):
            losses = [_loss_with(model, task, head, share, data.sequences[row]) for share in (1 - step, 1 + step)]
            slopes[head] += abs(losses[1] - losses[0]) / (2 * step)
    np.testing.assert_allclose(found[1], slopes / np.linalg.norm(slopes), rtol=1e-5)
    empty_heads(model, HEADS)
    np.testing.assert_array_equal(head_importance(encoder, data, total)[1], 0)


def _loss_with(model, task, head, share, sequence):
    """The loss of a text where one head of the second layer gives ``share`` of what it gives."""
    encoder = PackedEncoder(model)
    weight = encoder.parts.layers[1].attention_out.weight
    with torch.no_grad():
        before = weight.clone()
        weight[:, head * 8 : head * 8 + 8] *= share
        given = encoder(PackedTensors.of(pack_sequences([sequence], width=len(sequence), reads=encoder.head.reads)))
        weight.copy_(before)
    return float(given.square().sum())


def test_another_number_of_layers_is_refused():
    with pytest.raises(UsageError, match="heads kept of 2 layers"):
        empty_heads(tiny_model("bert"), HEADS[:2])
    with pytest.raises(UsageError, match="neurons kept of 1 layers"):
        empty_neurons(tiny_model("bert"), NEURONS[:1])
