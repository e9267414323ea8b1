from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.data.sampling import stratified_choice

LABELS = st.lists(st.sampled_from(["a", "b", "c", "rare"]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(1, 70), st.booleans(), st.integers(0, 2**32))
def test_the_law_of_stratified_choice(labels, rows, spare, seed):
    chosen = stratified_choice(labels, rows, seed=(seed,), spare=spare)
    have, took = Counter(labels), Counter(labels[index] for index in chosen)
    assert chosen == sorted(set(chosen))
    assert chosen == stratified_choice(labels, rows, seed=(seed,), spare=spare)
    assert len(chosen) == min(rows, len(labels) - (len(have) if spare else 0))
    if spare:
        assert all(took[label] < have[label] for label in have)
    elif rows >= len(have):
        assert all(took[label] >= 1 for label in have)


def test_shares_are_kept():
    labels = ["a"] * 70 + ["b"] * 20 + ["c"] * 10
    took = Counter(labels[index] for index in stratified_choice(labels, 20, seed=(1,), spare=True))
    assert took == {"a": 14, "b": 4, "c": 2}


def test_seeds_differ():
    labels = ["a", "b"] * 50
    assert stratified_choice(labels, 20, seed=(1,), spare=True) != stratified_choice(labels, 20, seed=(2,), spare=True)
