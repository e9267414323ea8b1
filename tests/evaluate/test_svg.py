from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.evaluate.content import TrainPoint
from penjing.evaluate.curves import smoothed, thinned
from penjing.evaluate.svg import Scale, clean, columns, number, round_step, shorten


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_within_and_are_few(low: float, span: float) -> None:
    scale = Scale(low, low + span, 0, 100)
    ticks = scale.ticks()
    assert len(ticks) <= 7
    assert all(-1e-3 <= scale(tick) <= 100 + 1e-3 for tick in ticks)


@pytest.mark.parametrize(("rough", "step"), [(0.9, 1), (1.1, 2), (2.1, 2.5), (3, 5), (7, 10), (0.013, 0.02), (0, 1)])
def test_round_steps(rough: float, step: float) -> None:
    assert round_step(rough) == pytest.approx(step)


@given(st.text(max_size=60), st.integers(2, 30))
def test_shortened_text_fits(text: str, limit: int) -> None:
    assert columns(shorten(text, limit)) <= limit
    assert shorten(text, 1000) == clean(text)


def test_wide_signs_take_two_columns() -> None:
    assert columns("体育ab") == 6
    assert shorten("体育新闻", 5) == "体育…"


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, -0.0, 1.0, 1.25, 100.0, 0.004, -0.001)] == [
        "0",
        "0",
        "1",
        "1.25",
        "100",
        "0",
        "0",
    ]


def test_thinning_keeps_the_end_and_the_mean() -> None:
    points = [TrainPoint(tokens=i, loss=float(i % 7)) for i in range(1001)]
    few = thinned(points, 100)
    assert len(few) <= 100
    assert few[-1].tokens == 1000
    assert thinned([], 100) == []


def test_smoothing_keeps_a_constant() -> None:
    assert smoothed([2.0] * 50) == [2.0] * 50
    assert smoothed([]) == []
    assert smoothed([3.0]) == [3.0]
