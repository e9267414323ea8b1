"""A causal language model in the training loop: it learns, stops change nothing, and passes do not either."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.tiny import tiny_decoder
from penjing.models.decoder import PackedDecoder, PackedModel, packed_model
from penjing.models.packed import PackedTensors
from penjing.tasks import text_generation
from penjing.tokens import Encoding, pack_flat
from penjing.tokens.taught import targets_of
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet
from train.toy import Watcher, run, weights_of


def counting(rows=48, *, seed=0):
    """Numbers that go on by a step each text shows: only what follows its first three tokens counts."""
    rng, sequences = np.random.default_rng(seed), []
    for _ in range(rows):
        length = int(rng.integers(6, 14))
        ids = 10 + (rng.integers(0, 40) + rng.integers(1, 4) * np.arange(length)) % 40
        sequences.append(Encoding(ids.astype(np.int64), chosen=np.arange(2, length - 1)))
    targets = [targets_of(sequence) for sequence in sequences]
    return TrainingSet(sequences, targets, np.array(list(map(len, targets))))


def decoder() -> PackedDecoder:
    model = tiny_decoder("llama", dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(0.4)
    return packed_model(model)


def learn(packed: PackedModel, **told):
    return run(packed, counting(), objective=text_generation.loss, **told)


def test_it_learns_what_the_texts_show():
    packed = decoder()
    done = learn(packed, epochs=60, learning_rate=1e-2)
    assert done.history[0]["loss"] > 3
    assert done.history[-1]["loss"] < 0.1
    data = counting(8, seed=5)
    with torch.no_grad():
        logits = packed(PackedTensors.of(pack_flat(data.sequences, reads="chosen")))
    right = logits.argmax(dim=1).numpy() == np.concatenate(list(data.targets))
    assert right.mean() > 0.6  # texts never seen; by chance 0.03


def test_a_loss_counts_the_same_however_the_step_is_split():
    losses = [
        [record["loss"] for record in learn(decoder(), pass_tokens=size, epochs=1, batch_size=24).history]
        for size in (128, 8192)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize("frozen_layers", [0, 2])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path, monkeypatch, frozen_layers):
    ticks = itertools.count()
    monkeypatch.setattr("penjing.train.loop.time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    settings = {"save_every_s": 7.0, "frozen_layers": frozen_layers}
    straight, stopped = decoder(), decoder()
    learn(straight, **settings)

    def stop(done):
        if done == 11:
            raise KeyboardInterrupt

    states = StateDirectory(tmp_path, run_id="this run")
    with pytest.raises(KeyboardInterrupt):
        learn(stopped, states=states, watcher=Watcher(stop), **settings)
    again = decoder()
    assert learn(again, states=states, **settings).resumed_at > 0
    for (name, one), other in zip(weights_of(straight).items(), weights_of(again).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_a_pass_keeps_its_logits_within_bounds():
    packed = decoder()
    assert packed.most_tokens > 8192
    packed.model.config.vocab_size = 256_000
    assert packed.most_tokens == 524
