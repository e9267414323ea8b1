"""Every sequence lands in exactly one row, whole and in order; little is left empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.tokens import Encoding, pack_flat, pack_rows, pack_sequences, row_width
from penjing.tokens.packing import WIDTHS

lengths_and_width = st.integers(1, 64).flatmap(
    lambda width: st.tuples(st.lists(st.integers(1, width), min_size=1, max_size=60), st.just(width))
)


def made(lengths, *, types=False):
    """Sequences that share no id, so that each cell tells whose it is."""
    ends = np.cumsum(lengths)
    return [
        Encoding(np.arange(end - length, end) + 1, np.arange(length) % 2 if types else None)
        for length, end in zip(lengths, ends, strict=True)
    ]


@settings(deadline=None)
@given(case=lengths_and_width)
def test_every_sequence_is_in_exactly_one_row_that_holds_it(case):
    lengths, width = case
    rows = pack_rows(lengths, width)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[index] for index in row) <= width for row in rows)


@settings(deadline=None)
@given(case=lengths_and_width)
def test_no_two_rows_could_be_one_and_few_more_are_used_than_needed(case):
    """A row is opened only where no other has room, so no two could be one; hence fewer than twice the least."""
    lengths, width = case
    filled = sorted(sum(lengths[index] for index in row) for row in pack_rows(lengths, width))
    least = -(-sum(lengths) // width)
    assert len(filled) < 2 or filled[0] + filled[1] > width
    assert len(filled) < 2 * least or len(filled) == 1


def test_the_longest_go_first_into_the_fullest_row_that_has_room():
    assert pack_rows([3, 6, 7, 2, 1, 4], 10) == [[2, 0], [1, 5], [3, 4]]


def test_real_lengths_leave_a_few_per_cent_empty():
    drawn = np.random.default_rng(0).lognormal(3.0, 0.6, 2000).clip(3, 128).astype(int).tolist()
    batch = pack_sequences([Encoding(np.ones(length, np.int64)) for length in drawn], width=128)
    assert batch.fill > 0.97


@settings(deadline=None, max_examples=60)
@given(case=lengths_and_width, types=st.booleans())
def test_a_batch_holds_each_sequence_whole_and_in_order(case, types):
    lengths, width = case
    sequences = made(lengths, types=types)
    batch = pack_sequences(sequences, width=width, pad_id=0)
    assert batch.input_ids.shape == batch.position_ids.shape == (len(batch.input_ids), width)
    assert sorted(batch.order) == list(range(len(lengths)))
    for first, length, index in zip(batch.first, batch.lengths, batch.order, strict=True):
        cells = slice(first, first + length)
        assert length == lengths[index]
        assert first // width == (first + length - 1) // width, "crosses a row"
        np.testing.assert_array_equal(batch.input_ids.ravel()[cells], sequences[index].ids)
        np.testing.assert_array_equal(batch.position_ids.ravel()[cells], np.arange(length))
        assert len(set(batch.segment_ids.ravel()[cells])) == 1
        expected = sequences[index].type_ids if types else np.zeros(length)
        np.testing.assert_array_equal(batch.token_type_ids.ravel()[cells], expected)


@settings(deadline=None, max_examples=60)
@given(case=lengths_and_width)
def test_segments_are_numbered_from_one_and_only_real_tokens_have_one(case):
    lengths, width = case
    batch = pack_sequences(made(lengths), width=width, pad_id=0)
    assert batch.tokens == sum(lengths) == (batch.segment_ids > 0).sum() == (batch.input_ids > 0).sum()
    assert batch.fill == batch.tokens / batch.input_ids.size
    for segments in batch.segment_ids:
        real = segments[segments > 0]
        assert real.tolist() == sorted(real)
        assert set(real) == set(range(1, real.max() + 1))


def test_a_batch_in_cells():
    batch = pack_sequences([Encoding(np.array([7, 8])), Encoding(np.array([5, 6, 9]))], width=6, pad_id=1)
    assert batch.input_ids.tolist() == [[5, 6, 9, 7, 8, 1]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 2, 2, 0]]
    assert batch.first.tolist() == [0, 3]
    assert (batch.order.tolist(), batch.lengths.tolist()) == ([1, 0], [3, 2])
    assert batch.shifted(10).order.tolist() == [11, 10]


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_a_flat_batch_has_no_padding_and_keeps_the_order(lengths):
    sequences = made(lengths)
    batch = pack_flat(sequences)
    assert batch.fill == 1
    assert batch.order.tolist() == list(range(len(lengths)))
    np.testing.assert_array_equal(batch.input_ids[0], np.concatenate([one.ids for one in sequences]))


@pytest.mark.parametrize(
    ("longest", "width"),
    [
        (1, 16),
        (16, 16),
        (17, 32),
        (65, 96),
        (128, 128),
        (129, 160),
        (200, 256),
        (512, 512),
        (8192, 8192),
        (8193, 9216),
        (20_000, 20_480),
    ],
)
def test_few_widths_are_used(longest, width):
    assert row_width(longest) == width


def test_the_default_width_is_that_of_the_longest_sequence_or_of_the_fullest_given_row():
    sequences = made([20, 20, 20])
    assert pack_sequences(sequences).input_ids.shape == (3, 32)
    assert pack_sequences(sequences, rows=[[0, 1], [2]]).input_ids.shape == (2, 64)
    assert list(WIDTHS) == sorted(WIDTHS)


@pytest.mark.parametrize("lengths", [[5, 0, 3], [17], [3, 17]])
def test_lengths_that_no_row_can_take(lengths):
    with pytest.raises(ValueError, match=r"a row takes 1\.\.16 tokens"):
        pack_rows(lengths, 16)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([], {}, "no sequences"),
        ([], {"width": 16}, "no sequences"),
        ([4, 0], {}, r"1\.\.16 tokens"),
        ([4, 0], {"rows": [[0, 1]]}, "without tokens"),
        ([4], {"rows": []}, "no sequences"),
        ([20], {"width": 16}, r"1\.\.16 tokens"),
        ([1, 1, 1], {"width": 2, "rows": [[0, 1, 2]]}, "row of 3 tokens"),
        ([9, 9], {"width": 16, "rows": [[0, 1]]}, "row of 18 tokens"),
    ],
)
def test_what_cannot_be_packed_is_refused_not_dropped(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        pack_sequences(made(lengths), **options)


def test_nothing_is_no_flat_batch():
    with pytest.raises(ValueError, match="no sequences"):
        pack_flat([])
    assert pack_rows([], 16) == []


def test_a_head_reads_those_tokens_that_each_sequence_names_and_all_where_it_names_none():
    named = [np.array([1, 3], np.int64), None, np.array([], np.int64)]
    sequences = [replace(one, chosen=at) for one, at in zip(made([4, 2, 3]), named, strict=True)]
    batch = pack_sequences(sequences, width=9, reads="chosen")
    read = batch.input_ids.ravel()[batch.cells]
    assert dict(zip(batch.order.tolist(), (own.tolist() for own in batch.by_sequence(read)), strict=True)) == {
        0: [2, 4], 1: [5, 6], 2: [],
    }  # fmt: skip
    assert batch.in_order(read).tolist() == [2, 4, 5, 6]
    assert pack_flat(sequences, reads="chosen").cells.tolist() == [1, 3, 4, 5]
