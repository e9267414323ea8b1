"""The cheapest chain of a cascade: found on the texts that calibrate alone, and none where none would pay."""

from __future__ import annotations

import numpy as np

from app.test_thresholds import drawn
from penjing.app.chains import cheapest_chain
from penjing.app.held_out import Asked
from penjing.app.thresholds import parted

OUTPUTS, RIGHT = drawn(2000, seed=4)
ANSWERS = OUTPUTS[-1].argmax(axis=1)


def asked(*seconds):
    names = ("tiny", "small", "whole")
    return {name: Asked(one, spent) for name, one, spent in zip(names, OUTPUTS, seconds, strict=True)}


def found(versions, *, agreement=0.95):
    return cheapest_chain(versions, ["whole"], answers=ANSWERS, agreement=agreement, seed=0)


def test_stages_are_taken_that_save_more_than_they_cost():
    assert found(asked(0.01, 0.2, 1.0))[-1] == "whole"
    assert "tiny" in found(asked(0.001, 0.9, 1.0))
    assert found(asked(0.5, 0.02, 1.0)) == ("small", "whole")
    assert found(asked(0.99, 0.995, 1.0)) is None


def test_what_tests_is_not_looked_at():
    _, testing = parted(len(ANSWERS), seed=0)
    others = [one.copy() for one in OUTPUTS]
    for one in others[:-1]:
        one[testing] = np.random.default_rng(5).normal(size=one[testing].shape)
    versions = {name: Asked(one, spent) for name, one, spent in zip("abc", others, (0.01, 0.1, 1.0), strict=True)}
    chain = cheapest_chain(versions, ["c"], answers=ANSWERS, agreement=0.95, seed=0)
    same = dict(zip("abc", ("tiny", "small", "whole"), strict=True))
    assert tuple(same[name] for name in chain) == found(asked(0.01, 0.1, 1.0))
