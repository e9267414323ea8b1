"""The loss is the formula; the terms are those of the papers; a killed distillation ends with the same bits."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.tiny import random_sequences, tiny_model
from penjing.core.errors import UsageError
from penjing.core.nouns import Task
from penjing.models.attention import SegmentLayout
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tasks import text_classification
from penjing.tokens import pack_flat
from penjing.train import terms
from penjing.train.distillation import Distillation, LayerMatch, at_step, layer_pairs
from penjing.train.recipe import DistillationRecipe
from penjing.train.training_set import Pass
from train.test_resume import StoppedError, slow_clock, states_in, stopper
from train.toy import run, toy_encoder, toy_set, weights_of

__all__ = ["slow_clock"]
LENGTHS = [3, 9, 1, 6]


def a_pass(outputs, teacher, *, done=0.0, lengths=LENGTHS, targets=None, trace=()):
    batch = PackedTensors.of(pack_flat(random_sequences(lengths)))
    targets = torch.arange(len(lengths)) % 3 if targets is None else targets
    return Pass(batch, outputs, targets, torch.ones(len(lengths)), teacher, done, trace)


def random_logits(rows, outputs=3, seed=0):
    return torch.randn(rows, outputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_alpha_of_the_labels_and_the_rest_of_the_teacher(alpha, temperature):
    ours, theirs = random_logits(4), random_logits(4, seed=1)
    given = a_pass(ours, theirs)
    loss = Distillation(text_classification.loss, DistillationRecipe(alpha=alpha, temperature=temperature))
    p, q = (functional.softmax(part / temperature, dim=1) for part in (theirs, ours))
    soft = temperature**2 * functional.kl_div(q.log(), p, reduction="sum")
    hard = functional.cross_entropy(ours, given.targets, reduction="sum")
    torch.testing.assert_close(loss.of_pass(given), alpha * hard + (1 - alpha) * soft)


def test_terms_are_summed_by_weight():
    ours, theirs = random_logits(4), random_logits(4, seed=1)
    loss = Distillation(text_classification.loss, DistillationRecipe(alpha=0, terms={"mse": 2.0, "cosine": 0.5}))
    expected = 2 * functional.mse_loss(ours, theirs, reduction="none").mean(1)
    expected += 0.5 * (1 - functional.cosine_similarity(ours, theirs))
    torch.testing.assert_close(loss.soft(a_pass(ours, theirs)), expected)


def test_a_text_without_a_label_learns_from_the_teacher_alone():
    ours, theirs = random_logits(4), random_logits(4, seed=1)
    loss = Distillation(text_classification.loss, DistillationRecipe(alpha=0.5))
    none = a_pass(ours, theirs, targets=torch.full((4,), -100))
    torch.testing.assert_close(loss.of_pass(none), 0.5 * loss.soft(none).sum())


def test_tokens_of_a_text_count_as_its_mean():
    ours, theirs = random_logits(sum(LENGTHS)), random_logits(sum(LENGTHS), seed=1)
    loss = Distillation(lambda outputs, *_: outputs.sum() * 0, DistillationRecipe(alpha=0, terms={"mse": 1.0}))
    parts = zip(ours.split(LENGTHS), theirs.split(LENGTHS), strict=True)
    expected = torch.stack([(a - b).square().mean() for a, b in parts])
    torch.testing.assert_close(loss.soft(a_pass(ours, theirs)), expected)


def test_answers_are_distributions_over_the_tokens_of_their_own_text():
    ours, theirs = random_logits(sum(LENGTHS), 2), random_logits(sum(LENGTHS), 2, seed=1)
    recipe = DistillationRecipe(alpha=0, temperature=2.0)
    loss = Distillation(lambda outputs, *_: outputs.sum() * 0, recipe, over="tokens")
    expected = []
    for a, b in zip(ours.split(LENGTHS), theirs.split(LENGTHS), strict=True):
        q, p = functional.log_softmax(a / 2, dim=0), functional.softmax(b / 2, dim=0)
        expected.append(4 * functional.kl_div(q, p, reduction="none").sum(0).mean())
    torch.testing.assert_close(loss.soft(a_pass(ours, theirs)), torch.stack(expected))


def test_a_relation_is_what_a_loop_over_texts_and_heads_finds():
    a, b = random_logits(sum(LENGTHS), 8).float(), random_logits(sum(LENGTHS), 12, seed=1).float()
    batch = a_pass(a, b).batch
    layout = SegmentLayout(batch.first, batch.lengths, cells=len(a))
    expected = []
    for ours, theirs in zip(a.split(LENGTHS), b.split(LENGTHS), strict=True):
        found = []
        for x, y in zip(ours.chunk(2, dim=1), theirs.chunk(2, dim=1), strict=True):
            q, p = (functional.log_softmax(part @ part.T / part.shape[1] ** 0.5, dim=1) for part in (x, y))
            found.append(functional.kl_div(q, p, log_target=True, reduction="none").sum(1).mean())
        expected.append(torch.stack(found).mean())
    torch.testing.assert_close(terms.relation((a, a), (b, b), layout, heads=2), torch.stack(expected))


@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert"])
@pytest.mark.parametrize("task", [Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION])
def test_a_traced_pass_gives_the_outputs_of_an_untraced_one(family, task):
    encoder, trace = PackedEncoder(tiny_model(family, task)), []
    batch = PackedTensors.of(pack_flat(random_sequences(LENGTHS)))
    torch.testing.assert_close(encoder(batch, trace=trace), encoder(batch))
    assert len(trace) == 3
    torch.testing.assert_close(trace[1].hidden, encoder.hidden_after(2, batch))


def test_a_student_like_its_teacher_has_nothing_to_learn_and_another_has():
    teacher, other = toy_encoder(), PackedEncoder(tiny_model("bert", dtype=torch.float32, seed=5))
    recipe = DistillationRecipe(alpha=0, terms={"hidden": 1.0, "attention": 1.0, "minilm": 1.0})
    for student, equal in ((toy_encoder(), True), (other, False)):
        trace = []
        batch = PackedTensors.of(pack_flat(random_sequences(LENGTHS)))
        outputs = student(batch, trace=trace)
        loss = Distillation(text_classification.loss, recipe, inside=LayerMatch(recipe, teacher, student))
        found = loss.soft(replace(a_pass(outputs, None), batch=batch, trace=trace))
        assert bool((found.abs() < 1e-5).all()) == equal
        assert not equal or loss.traces


def test_settings_go_in_a_straight_line():
    assert at_step(0.3, 0.9) == 0.3
    assert at_step((1.0, 0.0), 0.25) == 0.75


def test_layers_are_spread_last_on_last():
    assert layer_pairs(None, ours=3, theirs=6) == [(0, 1), (1, 3), (2, 5)]
    assert layer_pairs((0, 6, 2), ours=3, theirs=6) == [(1, 5), (2, 1)]
    for wrong in ((1, 2), (1, 2, 7), (0, 0, 0)):
        with pytest.raises(UsageError, match="layer_map"):
            layer_pairs(wrong, ours=3, theirs=6)


@pytest.mark.parametrize("term", ["hidden", "attention"])
def test_what_does_not_fit_is_refused_by_its_name(term):
    import transformers

    config = transformers.BertConfig(vocab_size=99, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     intermediate_size=16, num_labels=5)  # fmt: skip
    narrow = PackedEncoder(transformers.BertForSequenceClassification(config))
    with pytest.raises(UsageError, match=term):
        LayerMatch(DistillationRecipe(terms={term: 1.0}), toy_encoder(), narrow)
    LayerMatch(DistillationRecipe(terms={"minilm": 1.0}), toy_encoder(), narrow)


@pytest.mark.usefixtures("slow_clock")
def test_a_killed_distillation_ends_with_the_same_bits(tmp_path):
    teacher = random_logits(48, 5).float().numpy()
    data = replace(toy_set(48), teacher=teacher)
    recipe = DistillationRecipe(alpha=(0.9, 0.1), temperature=(4.0, 1.0), terms={"kl": 1.0, "minilm": 1.0})

    def loss(encoder):
        return Distillation(text_classification.loss, recipe, inside=LayerMatch(recipe, toy_encoder(), encoder))

    settings = {"dropout": 0.1, "save_every_s": 7.0, "validation": data, "validate_every": 1.0}
    straight = toy_encoder()
    run(straight, data, objective=loss(straight), **settings)
    moments, stops = random.Random(1), 0
    while True:
        stopped = toy_encoder()
        watcher = stopper(moments.randrange(4, 14))
        try:
            run(stopped, data, objective=loss(stopped), states=states_in(tmp_path), watcher=watcher, **settings)
        except StoppedError:
            stops += 1
            continue
        break
    assert stops
    for (name, one), other in zip(weights_of(straight).items(), weights_of(stopped).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
