"""Targets in windows, the loss over each sequence's own tokens, and the answer out of scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core.errors import InvalidRequestError
from penjing.core.nouns import Task
from penjing.data import DataRecipe, QuestionExample, load_split
from penjing.evaluate.answer_match import match
from penjing.tasks.answering import answerer
from penjing.tasks.question_answering import (
    NO_TARGET,
    OUTPUTS,
    Decoding,
    best_temperature,
    best_threshold,
    decode,
    loss,
    ranked,
    targets_of,
)
from penjing.tasks.text_classification import probabilities
from penjing.tokens.windows import WindowEncoder
from realdata import need_set
from tokens.making import KINDS, saved

WORDS = st.lists(
    st.sampled_from(["fox", "overtime", "今天天气", "NASA", "naïve", "магазине", "1993", ",", "🙂", "שלום"]), min_size=1
)


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokenizer(request, tmp_path_factory):
    return saved(KINDS[request.param](), tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory):
    return saved(KINDS["wordpiece"](), tmp_path_factory.mktemp("tokenizer"))


def example_of(context, *answers, question="who is it?"):
    return QuestionExample("x", question, context, tuple(answers), "x:1")


def windows_of(file, example, *, max_tokens=32, stride=8):
    (windows,) = WindowEncoder(file, max_tokens=max_tokens, stride=stride).encode([example.texts])
    return windows


def sure_of(targets, windows):
    """Outputs of a model that is sure of its targets, and of nothing where it has none."""
    outputs = []
    for (first, last), window in zip(targets.tolist(), windows, strict=True):
        logits = np.zeros((len(window), 2), np.float32)
        if first != NO_TARGET:
            logits[first, 0] = logits[last, 1] = 9.0
        outputs.append(logits)
    return outputs


@given(words=WORDS, data=st.data(), max_tokens=st.sampled_from([32, 48, 128]))
@settings(max_examples=60, deadline=None)
def test_what_is_put_in_as_targets_comes_out_as_the_answer(tokenizer, words, data, max_tokens):
    context = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    begin = sum(len(word) + 1 for word in words[:first])
    example = example_of(context, (words[first], begin))
    windows = windows_of(tokenizer, example, max_tokens=max_tokens)
    targets = targets_of(example, windows)
    assert (targets > 0).any()
    told = decode(context, windows, sure_of(targets, windows), how=Decoding(30, 0.0))
    assert (told.answer, told.start, told.end) == (words[first], begin, begin + len(words[first]))
    assert told.answer == context[told.start : told.end]
    assert told.score > 0.9 > 0.1 > told.no_answer


@pytest.mark.parametrize("context", ["fox " * 80, "今天天气很好" * 30])
def test_a_question_without_an_answer_teaches_and_gets_none(tokenizer, context):
    example = example_of(context)
    windows = windows_of(tokenizer, example)
    targets = targets_of(example, windows)
    assert len(windows) > 2
    assert not targets.any()
    told = decode(context, windows, sure_of(targets, windows), how=Decoding(30, 0.0))
    assert (told.answer, told.start, told.end) == ("", 0, 0)
    assert told.score == told.no_answer > 0.9
    assert told.others[0].text
    forced = decode(context, windows, sure_of(targets, windows), how=Decoding(30, None))
    assert forced.answer
    assert forced.score < 0.1 < 0.9 < forced.no_answer


def test_one_window_with_an_answer_outweighs_those_without(wordpiece):
    context = "the lazy dog " * 30 + "fox"
    example = example_of(context, ("fox", len(context) - 3))
    windows = windows_of(wordpiece, example)
    assert targets_of(example, windows)[:-1].sum() == 0
    told = decode(context, windows, sure_of(targets_of(example, windows), windows), how=Decoding(30, 0.0))
    assert (told.answer, told.no_answer < 0.01) == ("fox", True)


def test_windows_that_can_teach_nothing_have_no_target(wordpiece):
    context = "the lazy dog and the quick brown fox jumps over it " * 4
    whole = example_of(context, (context.strip(), 0))
    windows = windows_of(wordpiece, whole)
    assert (targets_of(whole, windows) == NO_TARGET).all(), "no window holds all of it"
    nowhere = example_of(context, ("cat", None))
    assert (targets_of(nowhere, windows) == NO_TARGET).all()
    second = example_of(context, ("cat", None), ("fox", context.index("fox")))
    assert (targets_of(second, windows) > 0).any()
    dropped = example_of("fox \u200b dog", ("\u200b", 4))
    assert (targets_of(dropped, windows_of(wordpiece, dropped)) == NO_TARGET).all()


def test_blanks_around_an_answer_move_nothing(wordpiece):
    context = "the fox jumps"
    plain, blank = example_of(context, ("fox", 4)), example_of(context, (" fox ", 3))
    windows = windows_of(wordpiece, plain)
    np.testing.assert_array_equal(targets_of(plain, windows), targets_of(blank, windows))


def test_the_loss_is_the_sum_over_sequences_of_a_plain_softmax():
    torch.manual_seed(0)
    lengths = torch.tensor([5, 1, 9, 4])
    outputs = (torch.randn(19, 2, dtype=torch.float64) * 40).requires_grad_()
    targets = torch.tensor([[2, 4], [0, 0], [NO_TARGET, NO_TARGET], [0, 3]])
    wanted = sum(
        (
            torch.nn.functional.cross_entropy(own.T, target, reduction="mean")
            for own, target in zip(outputs.split(lengths.tolist()), targets, strict=True)
            if target[0] != NO_TARGET
        ),
        start=torch.zeros((), dtype=torch.float64),
    )
    ours = loss(outputs, targets, lengths)
    torch.testing.assert_close(ours, wanted)
    for mine, theirs in zip(torch.autograd.grad(ours, outputs), torch.autograd.grad(wanted, outputs), strict=True):
        torch.testing.assert_close(mine, theirs)


def brute_force(above, scores, has_answer):
    places = sorted(set(above))
    tried = [places[0] - 1, *places]
    return max(
        sum(score if has else -1 for one, score, has in zip(above, scores, has_answer, strict=True) if one <= place)
        for place in tried
    )


@given(
    st.lists(
        st.tuples(st.sampled_from([-3.0, -1.5, 0.0, 2.0, 2.5, 9.0]), st.sampled_from([0.0, 0.5, 1.0]), st.booleans()),
        min_size=1,
    )
)
def test_no_threshold_is_better_than_the_best(rows):
    above, scores, has_answer = zip(*rows, strict=True)
    threshold = best_threshold(above, scores, has_answer)
    got = sum(score if has else -1 for one, score, has in rows if one <= threshold)
    assert got == brute_force(above, scores, has_answer)
    assert threshold not in above


def test_questions_without_any_span_do_not_move_the_threshold():
    assert best_threshold([float("inf")], [0.0], [False]) == 0.0
    assert best_threshold([1.0, float("inf"), 3.0], [1.0, 0.0, 0.0], [True, False, False]) == 2.0


def test_the_temperature_moves_probabilities_and_no_answer(wordpiece):
    context = "the fox jumps over the lazy dog"
    example = example_of(context, ("fox", 4))
    windows = windows_of(wordpiece, example)
    outputs = sure_of(targets_of(example, windows), windows)
    sharp, mild = (decode(context, windows, outputs, how=Decoding(30, 0.0, heat)) for heat in (1.0, 5.0))
    assert sharp.answer == mild.answer == "fox"
    assert sharp.score > mild.score > mild.others[0].score


def test_a_model_that_is_too_sure_is_cooled_down(wordpiece):
    context = "the fox jumps over the lazy dog"
    example = example_of(context, ("fox", 4))
    windows = windows_of(wordpiece, example)
    ranking = ranked(context, windows, sure_of(targets_of(example, windows), windows), max_answer_tokens=4)
    often_right, often_wrong = [True] * 300 + [False] * 30, [True] * 150 + [False] * 180
    for is_right in (often_right, often_wrong):
        heat = best_temperature([ranking] * 330, is_right, threshold=0.0)
        told = probabilities(ranking.scores(0.0) / np.float32(heat))[0]
        assert told == pytest.approx(np.mean(is_right), abs=0.02)
    assert best_temperature([ranking], [True], threshold=0.0) == pytest.approx(1.0, abs=0.05)


def test_an_answerer_gives_an_answer_a_pair_whatever_its_windows(tokenizer):
    settings = {"max_answer_tokens": 8.0, "no_answer_threshold": 0.0}
    asking = answerer(Task.QUESTION_ANSWERING, tokenizer, max_tokens=24, stride=4, outputs=OUTPUTS, decoding=settings)
    pairs = [("who?", "fox"), ("who?", "the lazy dog " * 30), ("谁？", "今天"), ("who? " * 50, "the lazy dog " * 9)]
    asked = asking.encode(pairs)
    outputs = np.random.default_rng(0).normal(size=(sum(map(len, asked.sequences)), 2)).astype(np.float32)
    answers = asking.decode(asked, outputs)
    assert len(asked.windows[1]) > 3
    assert len(answers) == 4
    assert all(pair[1][told.start : told.end] == told.answer for pair, told in zip(pairs, answers, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("who?", "input 1 is a single text; expected a question and a context"),
        (("  ", "fox"), "the question of input 1 is blank"),
        (("who?", ""), "the context of input 1 is blank"),
    ],
)
def test_what_is_no_question_is_refused(wordpiece, text, said):
    asking = answerer(Task.QUESTION_ANSWERING, wordpiece, max_tokens=24, stride=4, outputs=OUTPUTS, decoding={})
    with pytest.raises(InvalidRequestError, match=said):
        asking.encode([("who?", "fox"), text])


@pytest.mark.data
def test_real_chinese_answers_come_back_out_of_windows(wordpiece):
    path = str(need_set("cmrc2018") / "cmrc2018_trial.json")
    recipe = DataRecipe(train=path, on_misaligned="widen")
    examples = load_split(path, (), task=Task.QUESTION_ANSWERING, recipe=recipe).examples[:400]
    encoded = WindowEncoder(wordpiece, max_tokens=300, stride=128).encode([one.texts for one in examples])
    exact = 0
    for example, windows in zip(examples, encoded, strict=True):
        told = decode(example.context, windows, sure_of(targets_of(example, windows), windows), how=Decoding(200, 0.0))
        exact += match(told.answer, [text for text, _ in example.answers], question=example.question).exact
    assert any(len(windows) > 2 for windows in encoded)
    assert exact >= 396
