"""A cascade of engines: who answers what, and that the packed way gives what asking one by one gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.engines import CascadeEngine, Stage, parts_of, sureness
from penjing.tokens import Encoding, PackedBatch, pack_sequences


@dataclass
class Knowing:
    """Outputs that hang on the ids alone; how sure it is differs from sequence to sequence.

    Attributes:
        seen: the ids of all sequences that it was given, batch by batch.
    """

    factor: float
    name: str = "knowing"
    instances: int = 2
    seen: list[list[list[int]]] = field(default_factory=list)
    is_closed: bool = False

    def run(self, batch: PackedBatch) -> np.ndarray:
        own = [batch.sequence(at) for at in range(len(batch.lengths))]
        self.seen.append([one.ids.tolist() for one in own])
        return np.array([self.of(one) for one in own], np.float32)

    def of(self, one: Encoding) -> list[float]:
        types = 0 if one.type_ids is None else int(one.type_ids.sum())
        return [self.factor * (int(one.ids.sum()) % 7) / 3, self.factor * types, 0.5]

    def close(self) -> None:
        self.is_closed = True


def cascade() -> CascadeEngine:
    return CascadeEngine(
        [
            Stage(Knowing(1.0), 2.0, 0.5, 0.85),
            Stage(Knowing(1.5), 0.5, 1.0, 0.8, (0.5, -0.25, 0.0)),
            Stage(Knowing(-1.0), 1.5),
        ]
    )


def one_by_one(engine: CascadeEngine, sequence: Encoding) -> tuple[np.ndarray, int]:
    """The slow reference: a sequence alone, stage after stage."""
    for number, stage in enumerate(engine.stages):
        outputs = np.array([stage.engine.of(sequence)], np.float32)  # type: ignore[attr-defined]
        outputs = outputs + np.array(stage.bias or (0, 0, 0), np.float32)
        if stage.threshold is None or sureness(outputs, stage.sureness_temperature)[0] >= stage.threshold:
            return outputs[0] / np.float32(stage.temperature), number
    raise AssertionError("the last stage answers all")


TOKENS = st.lists(st.integers(1, 50), min_size=1, max_size=9)


@given(st.lists(st.tuples(TOKENS, st.booleans()), min_size=1, max_size=12))
def test_a_packed_cascade_answers_as_one_by_one(drawn):
    sequences = [
        Encoding(np.array(ids), (np.arange(len(ids)) > 1).astype(np.int64) if paired else None) for ids, paired in drawn
    ]
    engine, batch = cascade(), pack_sequences(sequences)
    outputs, given_by = engine.run_staged(batch)
    expected = [one_by_one(engine, sequences[at]) for at in batch.order]
    np.testing.assert_array_equal(outputs, [row for row, _ in expected])
    assert given_by.tolist() == [number for _, number in expected]
    for number, stage in enumerate(engine.stages):
        passed = sum(one >= number for one in given_by.tolist())
        assert sum(map(len, stage.engine.seen)) == passed  # type: ignore[attr-defined]


def test_later_stages_are_not_asked_in_vain():
    engine = CascadeEngine([Stage(Knowing(1.0), threshold=0.0), Stage(Knowing(2.0))])
    engine.run(pack_sequences([Encoding(np.array([4, 5])), Encoding(np.array([6]))]))
    assert [len(part.seen) for part in parts_of(engine)] == [1, 0]  # type: ignore[attr-defined]


def test_what_is_no_number_is_handed_on():
    class Broken(Knowing):
        def of(self, _):
            return [float("nan")] * 3

    engine = CascadeEngine([Stage(Broken(1.0), threshold=0.1), Stage(Knowing(2.0))])
    outputs, given_by = engine.run_staged(pack_sequences([Encoding(np.array([4, 5]))]))
    assert np.isfinite(outputs).all()
    assert given_by.tolist() == [1]


def test_closing_closes_every_stage():
    engine = cascade()
    engine.close()
    assert all(part.is_closed for part in parts_of(engine))  # type: ignore[attr-defined]


def test_sureness_is_the_probability_of_the_likeliest():
    outputs = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [-900.0, 900.0, 0.0]], np.float32)
    raised = np.exp(outputs / 2.0 - outputs.max(axis=1, keepdims=True) / 2.0)
    assert sureness(outputs, 2.0) == pytest.approx((raised / raised.sum(axis=1, keepdims=True)).max(axis=1))
