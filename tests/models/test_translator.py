"""Training on pairs in groups gives Transformers' own loss and gradients, padding or not."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from app.parallel_world import make_checkpoint
from models.tiny_writers import ENCODER_DECODERS, VOCABULARY, tiny_writer
from penjing.core.errors import CheckpointError
from penjing.core.nouns import Task
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedTensors
from penjing.models.translator import GroupedTranslator, groups
from penjing.tasks.translation import loss, pair_of, source_of
from penjing.tokens import Encoding, pack_flat
from penjing.train.loop import train
from penjing.train.recipe import TrainingRecipe
from penjing.train.training_set import TrainingSet


def some_pairs(count=9):
    rng = np.random.default_rng(0)
    return [[rng.integers(5, VOCABULARY - 2, rng.integers(1, 12)) for _ in range(2)] for _ in range(count)]


def transformers_loss(model, pairs, smoothing):
    pad = model.config.pad_token_id
    sources, targets = ([torch.from_numpy(pair[side]) for pair in pairs] for side in (0, 1))
    labels = pad_sequence(targets, batch_first=True, padding_value=-100)
    given = model(
        input_ids=pad_sequence(sources, batch_first=True, padding_value=pad),
        attention_mask=pad_sequence([torch.ones_like(one) for one in sources], batch_first=True),
        labels=labels,
    )
    if not smoothing:
        return given.loss
    return torch.nn.functional.cross_entropy(given.logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing)


@pytest.mark.parametrize("family", ENCODER_DECODERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_transformers(family, smoothing):
    model = tiny_writer(family).double()
    pairs = some_pairs()
    start = model.config.decoder_start_token_id
    sequences = [pair_of(source, target, start=start) for source, target in pairs]
    targets = torch.from_numpy(np.concatenate([target for _, target in pairs]))
    outputs = GroupedTranslator(model)(PackedTensors.of(pack_flat(sequences, reads="chosen")))
    ours = loss(outputs, targets, torch.tensor([]), label_smoothing=smoothing) / len(targets)
    ours.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    theirs = transformers_loss(model, pairs, smoothing)
    theirs.backward()
    rounding = 1e-5 if family == "t5" else 1e-12  # T5's norms compute in float32 whatever the model's type
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=rounding)
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            if family == "marian" and name.endswith("shared.weight"):
                assert not gradients[name][-1].any(), "the padding row is not trained"
                weight.grad[-1] = 0
            torch.testing.assert_close(gradients[name], weight.grad, rtol=0, atol=rounding)


def test_a_pair_that_teaches_nothing_gives_no_output():
    model, pairs = tiny_writer("marian"), some_pairs(3)
    sequences = [pair_of(source, target, start=95) for source, target in pairs]
    nothing = Encoding(np.array([2]), cut=True, chosen=np.zeros(0, np.int64))
    alone = GroupedTranslator(model)(PackedTensors.of(pack_flat(sequences, reads="chosen")))
    among = PackedTensors.of(pack_flat([sequences[0], nothing, *sequences[1:]], reads="chosen"))
    torch.testing.assert_close(GroupedTranslator(model)(among), alone)


def test_groups_waste_little_and_lose_nobody():
    rng = np.random.default_rng(1)
    sources = rng.integers(4, 60, 400)
    lengths = [(int(one), int(one + more)) for one, more in zip(sources, rng.integers(-3, 4, 400), strict=True)]
    found = list(groups(lengths))
    assert sorted(row for group in found for row in group) == list(range(400))
    padded = sum(len(group) * sum(max(lengths[row][side] for row in group) for side in (0, 1)) for group in found)
    together = 400 * sum(max(pair[side] for pair in lengths) for side in (0, 1))
    assert padded < 0.65 * together
    assert list(groups([])) == []


def test_a_pair_keeps_its_source_and_reads_its_target_shifted():
    pair = pair_of([7, 8, 2], [9, 10, 2], start=1)
    assert pair.ids.tolist() == [7, 8, 2, 1, 9, 10]
    assert pair.chosen.tolist() == [3, 4, 5]
    assert source_of(pair).tolist() == [7, 8, 2]


def test_another_family_is_refused():
    with pytest.raises(CheckpointError, match="model type 'gpt2' does not translate"):
        GroupedTranslator(tiny_writer("gpt2"))


def test_what_a_checkpoint_leaves_out_is_not_trained(tmp_path):
    model = load_model(inspect_checkpoint(make_checkpoint(tmp_path / "marian")), Task.TRANSLATION)
    model.save_pretrained(tmp_path / "saved")
    saved = load_file(tmp_path / "saved/model.safetensors")
    lost = [name for name, weight in model.named_parameters() if weight.requires_grad and name not in saved]
    assert lost == []


@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_no_dropout_is_none_where_a_function_drops_too(family):
    model, pairs = tiny_writer(family), some_pairs(4)
    rates = {"dropout", "activation_dropout", "attention_dropout"}
    for module in model.modules():
        for rate in rates & set(vars(module)):
            setattr(module, rate, 0.5)
    sequences = [pair_of(source, target, start=95) for source, target in pairs]
    data = TrainingSet(sequences, [np.array(target) for _, target in pairs], "targets")
    translator = GroupedTranslator(model)
    train(translator, data, loss, recipe=TrainingRecipe(epochs=1, threads=1, dropout=0.0), seed=0)
    batch = PackedTensors.of(pack_flat(sequences, reads="chosen"))
    model.train()
    assert torch.equal(translator(batch), translator(batch))
