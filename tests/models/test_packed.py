"""Packed = padded, for every family: the law that packing stands on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.tiny import random_sequences, tiny_model
from penjing.core.errors import CheckpointError
from penjing.core.nouns import Embedding, Task
from penjing.models.attention import RowAttention
from penjing.models.families import FAMILIES
from penjing.models.heads import head_of
from penjing.models.packed import PackedEncoder, PackedTensors, RowForward, padded_outputs
from penjing.models.tasks import TASK_CLASSES
from penjing.tokens import pack_sequences

LENGTHS = [7, 13, 5, 21, 1, 33, 2]
NEEDS_TYPES = {"bert", "electra"}


POOLED = {pooling: Embedding(pooling=pooling, size=32) for pooling in ("mean", "first")}
NOT_OF_ENCODERS = {Task.TEXT_GENERATION, Task.TRANSLATION}  # test_decoder.py, test_translator.py
HEADS = [(task, None) for task in sorted(TASK_CLASSES) if task not in NOT_OF_ENCODERS | {Task.FEATURE_EXTRACTION}]
HEADS += [(Task.FEATURE_EXTRACTION, embedding) for embedding in POOLED.values()]
NAMES = [f"{task.value}-{embedding.pooling}" if embedding else task.value for task, embedding in HEADS]


def forward_in_rows(encoder, batch):
    named = [batch.input_ids, batch.position_ids, batch.segment_ids, batch.token_type_ids, batch.cells]
    if batch.reads == "mean":
        named.append(batch.spans)
    return RowForward(encoder)(*(torch.from_numpy(part) for part in named))


@pytest.mark.parametrize(("task", "embedding"), HEADS, ids=NAMES)
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("width", [33, 64, 128])
def test_both_packed_paths_equal_the_padded_reference(family, width, task, embedding):
    model = tiny_model(family, task)
    sequences = random_sequences(LENGTHS, pairs=family in NEEDS_TYPES)
    batch = pack_sequences(sequences, width=width, reads=head_of(model, embedding).reads)
    with torch.no_grad():
        padded = padded_outputs(model, sequences, pad_id=model.config.pad_token_id or 0, embedding=embedding)
        reference = torch.cat([one for _, one in sorted_as(batch, padded)])
        by_segment = PackedEncoder(model, embedding)(PackedTensors.of(batch))
        by_row = forward_in_rows(PackedEncoder(model, embedding), batch)
    assert reference.abs().max() > 0.05, "logits too small to prove anything"
    np.testing.assert_allclose(by_segment, reference, rtol=0, atol=1e-9)
    np.testing.assert_allclose(by_row, reference, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("task", "embedding"), HEADS, ids=NAMES)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_gradients_equal_those_of_the_padded_reference(family, task, embedding):
    sequences = random_sequences(LENGTHS)
    reads = head_of(tiny_model(family, task), embedding).reads
    batch = pack_sequences(sequences, width=sum(LENGTHS), rows=[range(len(LENGTHS))], reads=reads)
    reference, packed = tiny_model(family, task), tiny_model(family, task)
    padded = padded_outputs(reference, sequences, pad_id=1, embedding=embedding)
    targets = torch.arange(len(padded)) % padded.shape[1]
    torch.nn.functional.cross_entropy(padded, targets).backward()
    logits = PackedEncoder(packed, embedding)(PackedTensors.of(batch))
    torch.nn.functional.cross_entropy(logits, targets).backward()
    for (name, one), (_, other) in zip(reference.named_parameters(), packed.named_parameters(), strict=True):
        if one.grad is None or ("pooler" in name and one.grad.abs().max() == 0):
            continue
        np.testing.assert_allclose(other.grad, one.grad, rtol=0, atol=1e-9, err_msg=name)


def sorted_as(batch, padded):
    """Rows of the padded reference apart by sequence, in the batch's order."""
    counts = [length if batch.reads in ("tokens", "chosen") else 1 for length in LENGTHS]
    apart = torch.split(padded, counts)
    return [(index, apart[index]) for index in batch.order]


def test_the_same_graph_gives_the_mean_of_a_text_and_each_of_its_tokens():
    model = tiny_model("bert", Task.FEATURE_EXTRACTION)
    encoder = PackedEncoder(model, POOLED["mean"])
    batch = pack_sequences(random_sequences([5, 9, 3]), width=16, reads="mean")
    rows = (batch.input_ids, batch.position_ids, batch.segment_ids, batch.token_type_ids)
    forward = RowForward(encoder)
    every = pack_sequences(random_sequences([5, 9, 3]), width=16, reads="tokens")
    with torch.no_grad():
        mean, tokens = (
            forward(*(torch.from_numpy(part) for part in (*rows, one.cells, one.spans))).numpy()
            for one in (batch, every)
        )
    for whole, parts in zip(mean, every.by_sequence(tokens), strict=True):
        np.testing.assert_allclose(parts.mean(axis=0), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_vocabulary_head_is_computed_at_the_chosen_tokens_alone(family):
    model, encoder = tiny_model(family, Task.FILL_MASK), PackedEncoder(tiny_model(family, Task.FILL_MASK))
    sequences, places = random_sequences([7, 13, 5]), [[2, 6], [], [0, 1, 4]]
    chosen = [replace(one, chosen=np.array(at, np.int64)) for one, at in zip(sequences, places, strict=True)]
    batch = pack_sequences(chosen, width=32, reads="chosen")
    with torch.no_grad():
        padded = torch.split(padded_outputs(model, sequences, pad_id=model.config.pad_token_id or 0), [7, 13, 5])
        reference = torch.cat([padded[index][places[index]] for index in batch.order])
        by_segment, by_row = encoder(PackedTensors.of(batch)), forward_in_rows(encoder, batch)
    assert reference.shape == (5, encoder.model.config.vocab_size)
    np.testing.assert_allclose(by_segment, reference, rtol=0, atol=1e-9)
    np.testing.assert_allclose(by_row, reference, rtol=0, atol=1e-9)


def test_rows_do_not_see_what_stands_in_padding_cells():
    model = tiny_model("bert")
    batch = pack_sequences(random_sequences([5, 9, 3]), width=16)
    changed = batch.input_ids.copy()
    changed[batch.segment_ids == 0] = 77
    named = (batch.position_ids, batch.segment_ids, batch.token_type_ids, batch.first)
    with torch.no_grad():
        row = RowForward(PackedEncoder(model))
        plain = row(torch.from_numpy(batch.input_ids), *(torch.from_numpy(part) for part in named))
        other = row(torch.from_numpy(changed), *(torch.from_numpy(part) for part in named))
    np.testing.assert_array_equal(plain, other)


def test_the_forbidding_score_shuts_out_other_segments_completely_in_fp32():
    weights = torch.softmax(torch.tensor([0.0, RowAttention.FORBIDDEN + 100.0]), dim=0)
    assert weights[1] == 0


def test_freezing_leaves_exactly_the_later_layers_and_the_head_to_train():
    encoder = PackedEncoder(tiny_model("bert"))
    encoder.freeze(2)
    trained = {name for name, weight in encoder.model.named_parameters() if weight.requires_grad}
    assert all(name.startswith(("bert.encoder.layer.2.", "bert.pooler.", "classifier.")) for name in trained)
    assert {name.split(".")[0] for name in trained} == {"bert", "classifier"}


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(CheckpointError, match=r"modernbert.*expected one of.*bert"):
        PackedEncoder(type("Model", (), {"config": type("Config", (), {"model_type": "modernbert"})})())
