"""Task arithmetic: deltas of one base, scaled and summed.

    θ = θ_p + Σ wᵢ (θᵢ − θ_p)

Sums are taken in float64 and rounded once. What θ_p has no like of, a new head, is no difference: it is the first
delta's. *ties* lets every weight be moved only by those deltas that agree on where to. Sources: Ilharco et al.,
"Editing models with task arithmetic", arXiv 2212.04089; Yadav et al., "TIES-merging", arXiv 2306.01708, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from penjing.core.errors import CheckpointError
from penjing.models.deltas.coding import has_ulps
from penjing.models.deltas.difference import tensors_of
from penjing.models.deltas.facts import Delta
from penjing.models.deltas.tensors import Tensors

Rule = Literal["sum", "ties"]


@dataclass(frozen=True, slots=True)
class Term:
    """A delta and how much of it."""

    delta: Delta
    weight: float


def combine(terms: Sequence[Term], base: Tensors, *, rule: Rule = "sum", keep: float = 0.2) -> dict[str, Tensor]:
    """The weights of θ.

    Args:
        terms: at least one; the first gives the head.
        base: weights of θ_p.
        rule: the sum, or TIES.
        keep: share of each tensor's largest differences that TIES looks at.

    Raises:
        CheckpointError: deltas of different bases or encoders.
    """
    _refuse_strangers(terms)
    tuned = [tensors_of(term.delta, base) for term in terms]
    found = dict(tuned[0])
    for name, facts in terms[0].delta.facts.tensors.items():
        if facts.of is None or not has_ulps(found[name]):
            continue
        start = base[facts.of]
        moves = [(one[name].double() - start.double()) * term.weight for one, term in zip(tuned, terms, strict=True)]
        move = torch.stack(moves).sum(dim=0) if rule == "sum" else _ties(moves, keep)
        found[name] = (start.double() + move).to(start.dtype)
    return found


def _ties(moves: Sequence[Tensor], keep: float) -> Tensor:
    """Trim to the largest, elect a sign by the sum, take the mean of those that have it."""
    trimmed = torch.stack([_largest(move, keep) for move in moves])
    sign = trimmed.sum(dim=0).sign()
    agree = (trimmed.sign() == sign) & (trimmed != 0)
    return (trimmed * agree).sum(dim=0) / agree.sum(dim=0).clamp(min=1)


def _largest(move: Tensor, keep: float) -> Tensor:
    count = max(1, round(keep * move.numel()))
    least = move.abs().reshape(-1).kthvalue(move.numel() - count + 1).values
    return torch.where(move.abs() >= least, move, 0)


def _refuse_strangers(terms: Sequence[Term]) -> None:
    first = terms[0].delta
    for term in terms[1:]:
        other = term.delta
        if other.facts.base.digest != first.facts.base.digest:
            raise CheckpointError(
                f"{first.path} and {other.path} were taken from different bases, {first.facts.base.name} and "
                f"{other.facts.base.name}",
                expected="deltas of one base: only their sum means anything",
            )
        if absent := sorted(_shared(first) ^ _shared(other)):
            raise CheckpointError(
                f"only one of {first.path} and {other.path} changes {absent[0]}",
                expected="deltas of the same parts of the base",
            )


def _shared(delta: Delta) -> set[str]:
    return {facts.of for facts in delta.facts.tensors.values() if facts.of is not None}
