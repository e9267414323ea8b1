"""What is left of a model after cutting: an ordinary one, equal where it can be, that opens in Transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from models.tiny import random_sequences, tiny_model
from penjing.core.errors import CheckpointError, UsageError
from penjing.core.nouns import Task
from penjing.models.packed import PackedEncoder, PackedTensors, padded_outputs
from penjing.models.surgery import keep_layers, keep_neurons, keep_tokens, layers_of, spread_layers
from penjing.tokens import Encoding, pack_flat
from penjing.train.importance import layer_importance, neuron_importance, weight_importance
from penjing.train.training_set import TrainingSet

FAMILIES = ("bert", "roberta", "distilbert", "mpnet", "electra")
SEQUENCES = random_sequences([3, 9, 1, 6])


def outputs(model, sequences=SEQUENCES):
    with torch.no_grad():
        return PackedEncoder(model)(PackedTensors.of(pack_flat(sequences)))


def reopened(model, path):
    model.save_pretrained(path)
    return getattr(transformers, type(model).__name__).from_pretrained(path).to(torch.float64).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_layers_open_in_transformers_with_equal_outputs(family, tmp_path):
    model = tiny_model(family)
    keep_layers(model, [0, 2])
    assert len(layers_of(model)) == 2
    again = reopened(model, tmp_path)
    torch.testing.assert_close(outputs(again), outputs(model))
    torch.testing.assert_close(padded_outputs(again, SEQUENCES, pad_id=1), outputs(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_neurons_that_do_nothing_can_go(family, tmp_path):
    model = tiny_model(family)
    kept = [np.sort(np.random.default_rng(layer).permutation(48)[:20]) for layer in range(3)]
    for layer, some in zip(PackedEncoder(model).parts.layers, kept, strict=True):
        dead = np.setdiff1d(np.arange(48), some)
        with torch.no_grad():
            layer.down.weight[:, torch.from_numpy(dead)] = 0
    before = outputs(model)
    keep_neurons(model, kept)
    torch.testing.assert_close(outputs(model), before)
    torch.testing.assert_close(outputs(reopened(model, tmp_path)), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_tokens_give_bitwise_equal_outputs(family, tmp_path):
    model = tiny_model(family)
    kept = np.array([0, 1, 2, 3, 4, *sorted({int(one) for sequence in SEQUENCES for one in sequence.ids})])
    before = outputs(model)
    keep_tokens(model, kept)
    mapped = [Encoding(np.searchsorted(kept, one.ids)) for one in SEQUENCES]
    assert torch.equal(outputs(model, mapped), before)
    again = reopened(model, tmp_path)
    assert again.config.vocab_size == len(kept)
    torch.testing.assert_close(outputs(again, mapped), before)


def test_what_cannot_be_cut_is_refused():
    model = tiny_model("bert")
    for kept in ([], [0, 0], [3]):
        with pytest.raises(UsageError, match="layers"):
            keep_layers(model, kept)
    with pytest.raises(UsageError, match="neurons"):
        keep_neurons(model, [np.arange(3), np.arange(3), np.arange(4)])
    with pytest.raises(CheckpointError, match="padding"):
        keep_tokens(tiny_model("roberta"), np.array([0, 2, 3]))
    with pytest.raises(UsageError, match="7 layers"):
        spread_layers(7, of=6)
    assert spread_layers(3, of=6) == (0, 2, 4)


@pytest.mark.parametrize("task", [Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION])
def test_importance_is_what_the_loss_says(task):
    encoder = PackedEncoder(tiny_model("bert", task))
    data = TrainingSet(SEQUENCES, np.zeros(4, np.int64))

    def total(given, *_):
        return given.square().sum()

    found = neuron_importance(encoder, data, total)
    assert [len(one) for one in found] == [48, 48, 48]
    layer = encoder.parts.layers[1]
    with torch.no_grad():
        layer.down.weight[:, 7] = 0
    assert neuron_importance(encoder, data, total)[1][7] == 0
    first, *_ = weight_importance(encoder, data, total)
    encoder.zero_grad()
    total(encoder(PackedTensors.of(pack_flat(SEQUENCES, reads=encoder.head.reads)))).backward()
    query = encoder.parts.layers[0].query.weight
    torch.testing.assert_close(first, (query * query.grad).abs().detach())  # one pass
    rises = layer_importance(encoder, data, total)
    assert len(encoder.parts.layers) == 3
    with torch.no_grad():
        whole = float(total(outputs(encoder.model)))
        keep_layers(encoder.model, [0, 2])
        left = float(total(outputs(encoder.model)))
    assert rises[1] == pytest.approx((left - whole) / 4, rel=1e-4)  # a loss is taken in float32
