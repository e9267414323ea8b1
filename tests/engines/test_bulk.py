"""Every sequence is answered once, in bounded memory, whatever the engine does."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tiny import random_sequences
from penjing.engines.bulk import bulk_outputs, packed_batches
from penjing.tokens import Encoding


class Counting:
    """Answers with each sequence's length and first id; counts the calls that are made and wait."""

    name = "counting"

    def __init__(self, instances=2, *, fail_on=None, wait_s=0.0):
        self.instances, self.fail_on, self.wait_s = instances, fail_on, wait_s
        self.calls, self.running, self.most = 0, 0, 0
        self._lock = threading.Lock()

    def run(self, batch):
        with self._lock:
            self.calls += 1
            number, self.running = self.calls, self.running + 1
            self.most = max(self.most, self.running)
        time.sleep(self.wait_s)
        with self._lock:
            self.running -= 1
        if number == self.fail_on:
            raise FloatingPointError("broken")
        return np.stack([batch.lengths, batch.input_ids.ravel()[batch.first]], axis=1).astype(np.float32)

    def close(self):
        pass


def sequences_of(lengths):
    return [Encoding(np.full(length, index % 1000)) for index, length in enumerate(lengths)]


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(1, 40), max_size=80), batch_tokens=st.sampled_from([1, 16, 100, 512]))
def test_every_sequence_is_answered_exactly_once(lengths, batch_tokens):
    sequences, answered = sequences_of(lengths), np.zeros(len(lengths), int)
    for rows, outputs in bulk_outputs(Counting(), sequences, batch_tokens=batch_tokens):
        answered[rows] += 1
        expected = [(len(sequences[row]), sequences[row].ids[0]) for row in rows]
        np.testing.assert_array_equal(outputs, expected)
    assert answered.tolist() == [1] * len(lengths)


def test_more_sequences_than_are_planned_together():
    lengths = np.random.default_rng(0).integers(1, 9, 5000).tolist()
    indices = np.concatenate([rows for rows, _ in bulk_outputs(Counting(), sequences_of(lengths))])
    assert sorted(indices) == list(range(5000))


def test_calls_are_of_the_size_asked_for():
    sizes = [batch.input_ids.size for batch in packed_batches(sequences_of([30] * 100), batch_tokens=256)]
    assert set(sizes[:-1]) == {256}
    assert [batch.input_ids.shape for batch in packed_batches(sequences_of([300]), batch_tokens=1)] == [(1, 384)]


def test_nothing_gives_nothing():
    engine = Counting()
    assert list(bulk_outputs(engine, [])) == []
    assert engine.calls == 0


@pytest.mark.parametrize("instances", [1, 3])
def test_all_instances_are_busy_and_little_waits(instances):
    engine, taken = Counting(instances, wait_s=0.002), 0
    for _ in bulk_outputs(engine, sequences_of([16] * 64), batch_tokens=16):
        taken += 1
        assert engine.calls <= taken + 2 * instances
    assert (taken, engine.calls, engine.most) == (64, 64, instances)


def test_sequences_are_packed_as_they_are_wanted():
    """Memory stays flat: a reader that stops early has cost no more than it read."""
    engine = Counting(1)
    answers = bulk_outputs(engine, sequences_of([16] * 64), batch_tokens=16)
    next(answers)
    answers.close()
    assert engine.calls <= 3


@pytest.mark.parametrize("fail_on", [1, 2, 7, 20])
def test_an_error_in_one_batch_surfaces_and_nothing_hangs(fail_on):
    engine = Counting(2, fail_on=fail_on)
    with pytest.raises(FloatingPointError, match="broken"):
        list(bulk_outputs(engine, sequences_of([16] * 20), batch_tokens=16))
    assert engine.running == 0
    assert engine.calls <= fail_on + 2 * engine.instances


def test_a_real_engine_answers_a_long_list_as_it_answers_each(engine):
    sequences = random_sequences([1 + index % 40 for index in range(120)])
    outputs = np.zeros((len(sequences), 5), np.float32)
    for rows, answers in bulk_outputs(engine, sequences):
        outputs[rows] = answers
    for index in range(0, 120, 17):
        ((_, alone),) = bulk_outputs(engine, [sequences[index]])
        np.testing.assert_allclose(outputs[index], alone[0], atol=1e-5)
