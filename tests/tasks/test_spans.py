"""The best spans are those that trying every one finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.tasks.spans import best_spans, token_span
from penjing.tokens.windows import WindowEncoder
from tokens.making import KINDS, saved

WORDS = st.lists(
    st.sampled_from(["fox", "overtime", "今天天气", "NASA", "naïve", "магазине", "1993", ",", "🙂", "\u200b"]),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokenizer(request, tmp_path_factory):
    return saved(KINDS[request.param](), tmp_path_factory.mktemp("tokenizer"))


def every_span(text, windows, outputs, reach):
    """The slow reference: (begin, end) → the highest score it has anywhere."""
    found = {}
    for window, own in zip(windows, outputs, strict=True):
        inside = [
            at
            for at in range(len(window))
            if window.begins[at] >= 0 and text[window.begins[at] : window.ends[at]].strip()
        ]
        for first in inside:
            for last in inside:
                if first <= last < first + reach and (window.kept[first] or window.kept[last]):
                    begin, end = int(window.begins[first]), int(window.ends[last])
                    inner = text[begin:end]
                    key = begin + len(inner) - len(inner.lstrip()), begin + len(inner.rstrip())
                    score = float(np.float64(own[first, 0]) + np.float64(own[last, 1]))
                    found[key] = max(score, found.get(key, -np.inf))
    return found


@given(
    words=WORDS, seed=st.integers(0, 999), max_tokens=st.sampled_from([20, 64]), reach=st.sampled_from([1, 2, 5, 40])
)
@settings(max_examples=40, deadline=None)
def test_the_best_spans_are_those_of_the_slow_reference(tokenizer, words, seed, max_tokens, reach):
    text, rng = " ".join(words), np.random.default_rng(seed)
    (windows,) = WindowEncoder(tokenizer, max_tokens=max_tokens, stride=4).encode([("who is it?", text)])
    outputs = [rng.normal(size=(len(window), 2)).astype(np.float32) for window in windows]
    spans, known = best_spans(text, windows, outputs, reach=reach, most=8), every_span(text, windows, outputs, reach)
    found = list(zip(spans.begins.tolist(), spans.ends.tolist(), strict=True))
    assert len(set(found)) == len(found) <= 8
    assert all(known[span] == score for span, score in zip(found, spans.scores.tolist(), strict=True))
    assert spans.scores.tolist() == sorted(spans.scores.tolist(), reverse=True)
    if known:
        assert spans.scores[0] == max(known.values())
        assert len(found) >= min(len(known), 4)
    assert all(text[begin:end] == text[begin:end].strip() != "" for begin, end in found)


def test_a_span_is_found_wherever_windows_are_cut(tokenizer):
    text = " ".join(["fox"] * 60)
    (windows,) = WindowEncoder(tokenizer, max_tokens=32, stride=8).encode([("who?", text)])
    longest = max(int(window.kept.sum()) for window in windows)
    assert len(windows) > 2
    assert longest >= 8
    for begin in range(0, len(text) - 8, 4):
        wanted, outputs, held = (begin, begin + 7), [], 0
        for at, window in enumerate(windows):
            logits = np.zeros((len(window), 2), np.float32)
            span = token_span(window, wanted, is_first=not at, is_last=at == len(windows) - 1)
            if span is not None and span.is_whole:
                logits[span.first, 0] = logits[span.last, 1] = 5.0
                held += 1
            outputs.append(logits)
        best = best_spans(text, windows, outputs, reach=20, most=1)
        assert held
        assert (best.begins[0], best.ends[0]) == wanted


def test_a_context_without_a_token_has_no_span(tmp_path):
    (windows,) = WindowEncoder(saved(KINDS["wordpiece"](), tmp_path), max_tokens=32, stride=4).encode([("who?", " \n")])
    outputs = [np.zeros((len(window), 2), np.float32) for window in windows]
    assert len(best_spans(" \n", windows, outputs, reach=5, most=3).scores) == 0
