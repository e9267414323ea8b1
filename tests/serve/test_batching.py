"""Pieces of requests, their batch, and their outcomes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.serve.batching import Packing, cut_to_pieces, run_pieces
from penjing.serve.queue import Permit
from penjing.serve.work import Work
from penjing.tokens import Encoding
from serve.doubles import POISON, FakeEngine, halves, ids


@pytest.fixture(scope="module")
def work():
    loop = asyncio.new_event_loop()
    yield Work(Permit(0), loop=loop)
    loop.close()


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30), budget=st.integers(1, 60))
def test_pieces_keep_order_and_budget(work, lengths, budget):
    sequences = [ids(*[index] * length) for index, length in enumerate(lengths)]
    pieces = cut_to_pieces(work, sequences, budget=budget)
    assert [one for piece in pieces for one in piece.sequences] == sequences
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    for piece in pieces:
        assert piece.tokens == sum(map(len, piece.sequences))
        assert piece.tokens <= budget or len(piece.sequences) == 1


@given(sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=5))
def test_outcomes_are_in_the_callers_order(work, sizes):
    pieces = [
        cut_to_pieces(work, [ids(*range(6, 6 + length)) for length in lengths], budget=10_000)[0] for lengths in sizes
    ]
    (outcomes,) = run_pieces(FakeEngine(), pieces, packing=Packing())
    assert [outcome.piece for outcome in outcomes] == pieces
    for piece, outcome in zip(pieces, outcomes, strict=True):
        wanted = halves([sequence.ids.tolist() for sequence in piece.sequences])
        np.testing.assert_array_equal(outcome.outputs, wanted)


@given(places=st.lists(st.integers(0, 4), min_size=1, max_size=20), data=st.data())
def test_a_sequence_that_comes_again_is_computed_once(work, places, data):
    known = [ids(*range(6, 7 + number)) for number in range(5)]
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=len(places), max_size=len(places)))
    pieces, at = [], 0
    while at < len(places):
        pieces += cut_to_pieces(work, [known[place] for place in places[at : at + sizes[at]]], budget=10_000)
        at += sizes[at]
    for reads in ("first", "tokens"):
        engine = FakeEngine()
        (outcomes,) = run_pieces(engine, pieces, packing=Packing(reads=reads))
        assert engine.batches == [len(set(places))]
        for piece, outcome in zip(pieces, outcomes, strict=True):
            (alone,) = run_pieces(FakeEngine(), [piece], packing=Packing(reads=reads))
            np.testing.assert_array_equal(outcome.outputs, alone[0].outputs)
            assert len(outcome.outputs) == (piece.tokens if reads == "tokens" else len(piece.sequences))


def test_only_token_types_tell_two_sequences_apart(work):
    one, other = ids(6, 7), Encoding(np.array([6, 7]), np.array([0, 1]))
    engine = FakeEngine()
    list(run_pieces(engine, cut_to_pieces(work, [one, other, one], budget=99), packing=Packing()))
    assert engine.batches == [2]


def test_only_the_guilty_fails(work):
    engine = FakeEngine()
    pieces = [cut_to_pieces(work, [ids(7, number)], budget=9)[0] for number in (8, POISON, 9)]
    outcomes = [outcome for some in run_pieces(engine, pieces, packing=Packing()) for outcome in some]
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert engine.batches == [3, 1, 1, 1]
    assert "poisoned" in str(outcomes[1].error)


def test_an_engine_that_miscounts_is_a_failure(work):
    class Forgetful(FakeEngine):
        def run(self, batch):
            return super().run(batch)[:-1]

    (piece,) = cut_to_pieces(work, [ids(7), ids(8)], budget=9)
    ((outcome,),) = run_pieces(Forgetful(), [piece], packing=Packing())
    assert outcome.outputs is None


def test_means_and_tokens_are_run_apart_and_each_gets_its_own(work):
    engine = FakeEngine()
    wanted = ("mean", "tokens", "mean", None)
    asked = [[ids(7, 10 + number), ids(20 + number)] for number in range(len(wanted))]
    pieces = [cut_to_pieces(work, own, budget=9, reads=reads)[0] for own, reads in zip(asked, wanted, strict=True)]
    outcomes = [outcome for some in run_pieces(engine, pieces, packing=Packing(reads="mean")) for outcome in some]
    assert sorted(map(id, pieces)) == sorted(id(outcome.piece) for outcome in outcomes)
    assert engine.batches == [6, 2]
    for outcome in outcomes:
        rows = [sequence.ids.tolist() for sequence in outcome.piece.sequences]
        if outcome.piece.reads == "tokens":
            rows = [[number] for row in rows for number in row]
        np.testing.assert_array_equal(outcome.outputs, halves(rows))


def test_a_failure_among_tokens_leaves_the_means_alone(work):
    pieces = [cut_to_pieces(work, [ids(7, POISON)], budget=9, reads="tokens")[0]]
    pieces += [cut_to_pieces(work, [ids(7, 8)], budget=9)[0]]
    outcomes = [outcome for some in run_pieces(FakeEngine(), pieces, packing=Packing()) for outcome in some]
    assert [outcome.error is None for outcome in outcomes] == [False, True]
