"""Packed = padded, for every family of decoders: outputs and gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.tiny import random_sequences, tiny_decoder
from penjing.core.errors import CheckpointError
from penjing.models.decoder import DECODERS, PackedDecoder
from penjing.models.packed import PackedTensors, padded_outputs
from penjing.tokens import pack_sequences
from penjing.tokens.packing import pack_flat

LENGTHS = [7, 13, 5, 21, 1, 33, 2]
# Transformers' own attention of these takes its softmax in fp32 whatever the model's type is; there a padding
# token that sees nothing becomes no number, and spoils the whole row. So they are compared one by one.
ROUNDED = {"gemma2": 1e-5}
# Their norms multiply in fp32, and so does the backward pass.
ROUNDED_GRADIENTS = ROUNDED | {"gemma": 1e-7, "gemma3_text": 1e-7}
VARIANTS = [(family, {}) for family in sorted(DECODERS)]
VARIANTS += [("mistral", {"sliding_window": 6}), ("qwen2", {"use_sliding_window": True, "sliding_window": 6})]
VARIANTS += [("gpt2", {"scale_attn_by_inverse_layer_idx": True}), ("llama", {"tie_word_embeddings": True})]
NAMES = ["-".join([family, *told]) for family, told in VARIANTS]


def reference_of(model, sequences):
    if model.config.model_type in ROUNDED:
        return torch.cat([padded_outputs(model, [sequence]) for sequence in sequences])
    return padded_outputs(model, sequences)


@pytest.mark.parametrize(("family", "told"), VARIANTS, ids=NAMES)
@pytest.mark.parametrize("width", [33, 64, None])
def test_packed_equals_the_padded_reference(family, told, width):
    model = tiny_decoder(family, **told)
    sequences = random_sequences(LENGTHS)
    batch = pack_sequences(sequences, width=width, reads="tokens") if width else pack_flat(sequences)
    with torch.no_grad():
        apart = reference_of(model, sequences).split(LENGTHS)
        logits = PackedDecoder(model)(PackedTensors.of(batch))
    reference = torch.cat([apart[index] for index in batch.order])
    cells = np.concatenate(
        [np.arange(first, first + length) for first, length in zip(batch.first, batch.lengths, strict=True)]
    )
    assert reference.abs().max() > 0.5, "logits too small to prove anything"
    np.testing.assert_allclose(logits[cells], reference, rtol=0, atol=ROUNDED.get(family, 1e-9))


@pytest.mark.parametrize(("family", "told"), VARIANTS, ids=NAMES)
def test_gradients_equal_those_of_the_padded_reference(family, told):
    sequences = random_sequences(LENGTHS)
    reference, packed = tiny_decoder(family, **told), tiny_decoder(family, **told)
    padded = reference_of(reference, sequences)
    targets = torch.arange(len(padded)) % padded.shape[1]
    torch.nn.functional.cross_entropy(padded, targets).backward()
    logits = PackedDecoder(packed)(PackedTensors.of(pack_flat(sequences)))
    torch.nn.functional.cross_entropy(logits, targets).backward()
    for (name, one), (_, other) in zip(reference.named_parameters(), packed.named_parameters(), strict=True):
        np.testing.assert_allclose(other.grad, one.grad, rtol=0, atol=ROUNDED_GRADIENTS.get(family, 1e-9), err_msg=name)


def test_the_head_is_computed_where_it_is_read_and_nowhere_else():
    model = tiny_decoder("llama")
    decoder, batch = PackedDecoder(model), PackedTensors.of(pack_flat(random_sequences([5, 9])))
    seen = []
    model.lm_head.register_forward_hook(lambda *given: seen.append(len(given[2])))
    read = torch.tensor([2, 3, 11])
    with torch.no_grad():
        some, every = decoder(replace(batch, chosen=read)), decoder(batch)
    assert seen == [3, 14]
    np.testing.assert_allclose(some, every[read], rtol=0, atol=1e-12)


def test_bf16_in_training_is_near_the_exact_result():
    model = tiny_decoder("llama", dtype=torch.float32)
    decoder, batch = PackedDecoder(model), PackedTensors.of(pack_flat(random_sequences(LENGTHS)))
    exact = decoder(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = decoder(batch).float()
    assert (exact - rough).abs().max() < 0.05 * exact.abs().max()


def test_the_model_is_an_ordinary_one_again_after_each_pass():
    model = tiny_decoder("gpt2")
    before = model.config._attn_implementation
    PackedDecoder(model)(PackedTensors.of(pack_flat(random_sequences([4]))))
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_freezing_leaves_exactly_the_later_layers_and_the_last_norm_to_train(family):
    decoder = PackedDecoder(tiny_decoder(family, tie_word_embeddings=True))
    decoder.freeze(2)
    trained = {name for name, weight in decoder.model.named_parameters() if weight.requires_grad}
    later, last = {"gpt2": ("transformer.h.2.", "transformer.ln_f."), "llama": ("model.layers.2.", "model.norm.")}[
        family
    ]
    assert trained
    assert all(name.startswith((later, last)) for name in trained)
    assert any(name.startswith(last) for name in trained)


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(CheckpointError, match=r"bloom.*expected one of.*llama"):
        PackedDecoder(type("Model", (), {"config": type("Config", (), {"model_type": "bloom"})})())
