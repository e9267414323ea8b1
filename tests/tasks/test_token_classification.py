"""Tags of words out of token outputs: sub-words, windows, scripts, and the loss on first tokens."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core.nouns import Task
from penjing.data import TaggedExample
from penjing.tasks.answering import answerer
from penjing.tasks.token_classification import NO_TARGET, Entity, decode, loss, targets_of, word_probabilities
from penjing.tokens.tagging import tag_names, tags_of
from penjing.tokens.windows import WindowEncoder
from penjing.tokens.words import words_of
from tokens.making import KINDS, saved

TAGS = tag_names(["LOC", "PER"])


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokenizer(request, tmp_path_factory):
    return saved(KINDS[request.param](), tmp_path_factory.mktemp("tokenizer"))


def answered(windows, example):
    """Outputs of a model that is sure of the right tag on the first token of each word and of O elsewhere."""
    outputs = []
    for target in targets_of(example, windows, TAGS):
        logits = np.zeros((len(target), len(TAGS)), np.float32)
        logits[np.arange(len(target)), np.where(target == NO_TARGET, 0, target)] = 9.0
        outputs.append(logits)
    return outputs


def example_of(text, entities):
    return TaggedExample(text, words_of(text), tuple(entities), "x:1")


TEXTS = st.lists(
    st.sampled_from(["fox", "overtime", "今天天气", "NASA", "naïve", "магазине", "1993", ",", "🙂"]), min_size=1
)


@given(words=TEXTS, data=st.data(), max_tokens=st.sampled_from([16, 24, 128]))
@settings(max_examples=60, deadline=None)
def test_what_is_put_in_as_targets_comes_out_as_entities(tokenizer, words, data, max_tokens):
    text = " ".join(words)
    places = words_of(text)
    first = data.draw(st.integers(0, len(places) - 1))
    last = data.draw(st.integers(first + 1, len(places)))
    example = example_of(text, [(first, last, data.draw(st.sampled_from(["LOC", "PER"])))])
    (windows,) = WindowEncoder(tokenizer, max_tokens=max_tokens, stride=4).encode([text])
    found = decode(text, windows, outputs=answered(windows, example), tags=TAGS)
    assert [(one.start, one.end, one.label) for one in found] == [
        (places[first][0], places[last - 1][1], example.entities[0][2])
    ]
    assert all(one.text == text[one.start : one.end] and one.score > 0.99 for one in found)


def test_each_word_has_one_target_over_all_windows(tokenizer):
    text = "the quick brown fox jumps over the lazy dog in 公园 " * 6
    example = example_of(text, [(3, 4, "PER")])
    (windows,) = WindowEncoder(tokenizer, max_tokens=16, stride=4).encode([text])
    counted = sum(int((target != NO_TARGET).sum()) for target in targets_of(example, windows, TAGS))
    assert len(windows) > 3
    assert counted == len(example.words)


def test_words_of_the_caller_are_kept(tokenizer):
    text = "U.S. fox"
    (windows,) = WindowEncoder(tokenizer, max_tokens=32, stride=4).encode([text])
    example = TaggedExample(text, ((0, 4), (5, 8)), ((0, 1, "LOC"),), "x:1")
    (entity,) = decode(text, windows, outputs=answered(windows, example), tags=TAGS, words=example.words)
    assert entity == Entity("LOC", "U.S.", 0, 4, pytest.approx(1, abs=1e-2))


def test_aggregation_over_the_tokens_of_a_word(tmp_path):
    (windows,) = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=32, stride=4).encode(["thefox"])
    assert int(windows[0].kept.sum()) > 1
    logits = np.zeros((len(windows[0]), len(TAGS)), np.float32)
    logits[1, TAGS.index("B-PER")] = 1.0
    logits[2, TAGS.index("B-LOC")] = 5.0
    best = {
        how: TAGS[word_probabilities([logits], windows, ((0, 6),), aggregation=how)[0].argmax()]
        for how in ("first", "average", "max")
    }
    assert best == {"first": "B-PER", "average": "B-LOC", "max": "B-LOC"}


def test_a_word_that_the_tokenizer_drops_is_outside(tmp_path):
    text = "fox \u200b dog"
    (windows,) = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=32, stride=4).encode([text])
    sure = [np.full((len(windows[0]), len(TAGS)), 1.0, np.float32)]
    sure[0][:, TAGS.index("B-PER")] = 9.0
    labels = [one.text for one in decode(text, windows, outputs=sure, tags=TAGS)]
    assert labels == ["fox", "dog"]


def test_outputs_named_in_another_order_are_understood(tmp_path):
    text, tags = "fox \u200b dog", ("B-LOC", "I-LOC", "O")
    (windows,) = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=32, stride=4).encode([text])
    logits = np.zeros((len(windows[0]), 3), np.float32)
    logits[:, 2] = 9.0
    assert decode(text, windows, outputs=[logits], tags=tags) == []


def test_bioes_targets(tokenizer):
    text = "fox dog NASA"
    (windows,) = WindowEncoder(tokenizer, max_tokens=32, stride=4).encode([text])
    tags = tag_names(["PER"], scheme="bioes")
    (target,) = targets_of(example_of(text, [(0, 2, "PER"), (2, 3, "PER")]), windows, tags)
    assert [tags[number] for number in target[target != NO_TARGET]] == ["B-PER", "E-PER", "S-PER"]
    assert tags_of([(0, 2, "PER")], 2, scheme="bioes") == ["B-PER", "E-PER"]


def test_the_loss_is_summed_over_tokens_that_have_a_target():
    outputs, targets = torch.tensor([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]]), torch.tensor([1, 0, NO_TARGET])
    wanted = math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))
    assert loss(outputs, targets, torch.tensor([3])).item() == pytest.approx(wanted, rel=1e-6)


def test_an_answerer_gives_an_answer_a_text_whatever_its_windows(tokenizer):
    asking = answerer(Task.TOKEN_CLASSIFICATION, tokenizer, max_tokens=16, stride=4, outputs=TAGS, decoding={})
    texts = ["fox", "the lazy dog " * 30, "", "今天"]
    asked = asking.encode(texts)
    rows = sum(len(sequence) for sequence in asked.sequences)
    assert len(asked.windows[1]) > 3
    outputs = np.zeros((rows, len(TAGS)), np.float32)
    outputs[:, TAGS.index("B-PER")] = 5.0
    answers = asking.decode(asked, outputs)
    assert [len(answer) for answer in answers] == [1, 90, 0, 2]
