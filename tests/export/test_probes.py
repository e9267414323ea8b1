"""The sequences of a comparison survive the way through a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tiny import random_sequences
from penjing.export.probes import random_probes, read_probes, write_probes


@pytest.mark.parametrize("pairs", [False, True])
def test_what_is_written_is_read_in_order(tmp_path, pairs):
    sequences = random_sequences(
        [1, 5, 3, 2, 9, 4, 4, 4, 4, 4, 4, 7], pairs=pairs
    )  # past ten: order is not that of names
    write_probes(tmp_path / "probes.npz", sequences)
    for one, other in zip(sequences, read_probes(tmp_path / "probes.npz"), strict=True):
        np.testing.assert_array_equal(other.ids, one.ids)
        assert (other.type_ids is None) == (one.type_ids is None)
        if one.type_ids is not None:
            np.testing.assert_array_equal(other.type_ids, one.type_ids)


def test_an_empty_list_is_read_as_one(tmp_path):
    write_probes(tmp_path / "probes.npz", [])
    assert read_probes(tmp_path / "probes.npz") == []


@settings(deadline=None)
@given(vocabulary=st.integers(2, 500), max_tokens=st.integers(1, 200), count=st.integers(1, 20))
def test_random_probes_are_of_mixed_lengths_the_longest_among_them(vocabulary, max_tokens, count):
    probes = random_probes(vocabulary=vocabulary, max_tokens=max_tokens, count=count)
    lengths = [len(probe) for probe in probes]
    assert max(lengths) == max_tokens == lengths[0]
    assert min(lengths) >= 1
    assert len(probes) == max(count, 3)
    assert all(0 <= probe.ids.min() <= probe.ids.max() < vocabulary for probe in probes)


def test_random_probes_hold_no_padding_token():
    assert min(probe.ids.min() for probe in random_probes(vocabulary=20, max_tokens=128)) >= 5


def test_the_same_seed_gives_the_same_probes():
    one, other, third = (random_probes(vocabulary=99, max_tokens=40, seed=seed) for seed in (1, 1, 2))
    assert [probe.ids.tolist() for probe in one] == [probe.ids.tolist() for probe in other]
    assert [probe.ids.tolist() for probe in one] != [probe.ids.tolist() for probe in third]
