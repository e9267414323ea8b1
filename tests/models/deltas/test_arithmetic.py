"""Sums of deltas are the sums they are called, and only of deltas that have one base."""

from __future__ import annotations

import pytest
import torch

from models.deltas.making import base_of, tuned_from
from penjing.app.holding import take_difference
from penjing.core.errors import CheckpointError
from penjing.models.deltas.arithmetic import Term, combine
from penjing.models.deltas.tensors import digest_of, read_weights

NAME = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture
def three(tmp_path):
    """(base weights, two deltas, their weights)."""
    base = base_of(tmp_path / "base")
    tuned = [tuned_from(base, tmp_path / f"tuned-{seed}", seed=seed) for seed in (1, 2)]
    deltas = [take_difference(one.path, base, tmp_path / f"delta-{at}") for at, one in enumerate(tuned)]
    return read_weights(base.path), deltas, [read_weights(one.path) for one in tuned]


def test_a_sum_is_the_sum_and_one_of_one_is_itself(three):
    base, (first, second), (one, two) = three
    assert digest_of(combine([Term(first, 1.0)], base)) == digest_of(one)
    found = combine([Term(first, 1.0), Term(second, 1.0)], base)
    start = base[NAME.removeprefix("bert.")]
    assert torch.allclose(found[NAME], one[NAME] + two[NAME] - start, atol=1e-6)
    assert torch.equal(found["classifier.weight"], one["classifier.weight"]), "heads are not summed"
    swapped = combine([Term(second, 1.0), Term(first, 1.0)], base)
    assert torch.equal(swapped[NAME], found[NAME])


def test_a_delta_less_itself_is_the_base(three):
    base, (first, _), _ = three
    found = combine([Term(first, 1.0), Term(first, -1.0)], base)
    assert torch.equal(found[NAME], base[NAME.removeprefix("bert.")])


def test_ties_moves_by_those_that_agree(three):
    """Against the algorithm written out number by number."""
    base, deltas, tuned = three
    start = base[NAME.removeprefix("bert.")].double()
    moves = [one[NAME].double() - start for one in tuned]
    found = combine([Term(delta, 1.0) for delta in deltas], base, rule="ties", keep=0.5)[NAME]
    least = [sorted(move.abs().reshape(-1).tolist())[move.numel() // 2] for move in moves]
    for at in range(0, start.numel(), 37):
        kept = [float(m.reshape(-1)[at]) for m, bound in zip(moves, least, strict=True)]
        kept = [move if abs(move) >= bound else 0.0 for move, bound in zip(kept, least, strict=True)]
        agree = [move for move in kept if move * sum(kept) > 0]
        meant = float(start.reshape(-1)[at]) + (sum(agree) / len(agree) if agree else 0.0)
        assert float(found.reshape(-1)[at]) == pytest.approx(meant, abs=1e-6)


def test_deltas_of_different_bases_are_not_summed(three, tmp_path):
    base, (first, _), _ = three
    other = base_of(tmp_path / "other", seed=4)
    stranger = take_difference(tuned_from(other, tmp_path / "theirs").path, other, tmp_path / "stranger")
    with pytest.raises(CheckpointError, match="taken from different bases"):
        combine([Term(first, 1.0), Term(stranger, 1.0)], base)
