"""``penjing delta``: what fine-tuning added, as a thing of its own: taken, put on, taken off, scaled, summed.

Deltas, checkpoints and bases are directories, or versions of a store (``topics/1``), which stand for what their
``checkpoint/`` holds. Each function writes one new directory, whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from penjing.app.delta_files import (
    CheckpointMade,
    DeltaMade,
    base_for,
    checkpoint_at,
    delta_at,
    made,
    new_directory,
    sparse_at,
)
from penjing.app.holding import copy_surroundings, take_difference
from penjing.core.errors import UsageError
from penjing.core.files import canonical_json
from penjing.models.checkpoint import copy_tokenizer
from penjing.models.deltas.facts import Delta
from penjing.models.sparse import write_dense

DifferenceForm = Literal["exact", "int8", "int4", "sign"]


def extract(
    checkpoint: str, *, base: str, to: Path, form: DifferenceForm = "exact", store: Path | None = None
) -> DeltaMade:
    """Write the delta of a fine-tuned checkpoint from its base.

    Args:
        checkpoint: θ_t.
        base: θ_p.
        to: a new directory.
        form: ``exact``, or ``int8``, ``int4``, ``sign``, which are smaller and say what they lose.
        store: where versions are looked for.

    Raises:
        CheckpointError: the two have nothing in common.
        UsageError: ``to`` exists.
    """
    tuned, found = checkpoint_at(checkpoint, store), checkpoint_at(base, store)
    return made(to, lambda beside: take_difference(tuned.path, found, beside, form=form), whole=tuned.path)


def apply(
    delta: str, *, to: Path, base: str | None = None, scale: float = 1.0, store: Path | None = None
) -> CheckpointMade:
    """Write the checkpoint that a delta leads to from its base.

    Args:
        delta: Δθ; or a directory or version with sparse weights, which needs no base and takes no scale.
        to: a new directory.
        base: θ_p; None is where it lay when the delta was made.
        scale: how much of the delta; 1 gives θ_t, −1 moves away from it.
        store: where versions are looked for.

    Raises:
        CheckpointError: the base is another one, or a file is not whole.
        UsageError: ``to`` exists.
    """
    from penjing.models.deltas.arithmetic import Term, combine
    from penjing.models.deltas.difference import tensors_of
    from penjing.models.deltas.tensors import digest_of, read_weights, write_weights

    if not math.isfinite(scale):
        raise UsageError(f"scale is {scale}, which is no finite number", expected="a factor such as 0.5")
    if (sparse := sparse_at(delta, store)) is not None:
        return _made_dense(sparse, to)
    one = delta_at(delta, store)
    found = base_for(one, base, store)
    with new_directory(to) as beside:
        start = read_weights(found.path)
        weights = tensors_of(one, start) if scale == 1 else combine([Term(one, scale)], start)
        copy_surroundings(one.path, beside)
        write_weights(weights, beside)
    return CheckpointMade(to, exact=digest_of(weights) == one.facts.weights)


def _made_dense(sparse: Path, to: Path) -> CheckpointMade:
    with new_directory(to) as beside:
        write_dense(sparse, beside)
    return CheckpointMade(to, exact=True)


def remove(delta: str, *, checkpoint: str, to: Path, store: Path | None = None) -> CheckpointMade:
    """Take an exact delta off the checkpoint that it leads to; what is left is the base, bit for bit.

    Args:
        delta: Δθ.
        checkpoint: θ_t.
        to: a new directory.
        store: where versions are looked for.

    Raises:
        UsageError: the delta is not exact, the checkpoint is another one, or ``to`` exists.
    """
    from penjing.models.deltas.difference import base_tensors_of
    from penjing.models.deltas.tensors import read_weights, write_weights

    one, tuned = delta_at(delta, store), checkpoint_at(checkpoint, store)
    with new_directory(to) as beside:
        weights = base_tensors_of(one, read_weights(tuned.path))
        copy_tokenizer(one.path, beside)
        (beside / "config.json").write_bytes(canonical_json(one.facts.base.config))
        write_weights(weights, beside)
    return CheckpointMade(to, exact=True)


def scale(delta: str, *, by: float, to: Path, base: str | None = None, store: Path | None = None) -> DeltaMade:
    """Write ``by`` times a delta.

    Args:
        delta: Δθ.
        by: the factor.
        to: a new directory.
        base: θ_p; None is where it lay when the delta was made.
        store: where versions are looked for.
    """
    return _combined([delta], [by], to=to, base=base, store=store)


def add(
    deltas: Sequence[str], *, to: Path, base: str | None = None, first_head: bool = False, store: Path | None = None
) -> DeltaMade:
    """Write the sum of deltas of one base.

    Args:
        deltas: Δθ₁, Δθ₂, …; the first gives the head.
        to: a new directory.
        base: θ_p; None is where it lay when the first was made.
        first_head: add them although their labels differ.
        store: where versions are looked for.

    Raises:
        CheckpointError: deltas of different bases.
        UsageError: fewer than two, or labels that differ.
    """
    _refuse_lonely(deltas)
    return _combined(deltas, [1.0] * len(deltas), to=to, base=base, first_head=first_head, store=store)


def subtract(
    delta: str,
    others: Sequence[str],
    *,
    to: Path,
    base: str | None = None,
    first_head: bool = False,
    store: Path | None = None,
) -> DeltaMade:
    """Write a delta without others. Arguments as of :func:`add`."""
    _refuse_lonely([delta, *others])
    weights = [1.0, *(-1.0 for _ in others)]
    return _combined([delta, *others], weights, to=to, base=base, first_head=first_head, store=store)


def merge(
    deltas: Sequence[str],
    *,
    to: Path,
    rule: Literal["mean", "ties"] = "mean",
    weights: Sequence[float] | None = None,
    keep: float = 0.2,
    base: str | None = None,
    first_head: bool = False,
    store: Path | None = None,
) -> DeltaMade:
    """Write one delta that stands for several.

    Args:
        deltas: Δθ₁, Δθ₂, …; the first gives the head.
        to: a new directory.
        rule: their weighted ``mean``, or ``ties``: each weight moved only by those that agree on its sign.
        weights: one a delta; None counts all alike.
        keep: share of the largest differences that ``ties`` looks at.
        base: θ_p; None is where it lay when the first was made.
        first_head: merge them although their labels differ.
        store: where versions are looked for.

    Raises:
        CheckpointError: deltas of different bases.
        UsageError: fewer than two, labels that differ, or weights that do not fit.
    """
    _refuse_lonely(deltas)
    shares = _shares(weights, len(deltas), rule)
    if not 0 < keep <= 1:
        raise UsageError(f"keep is {keep}", expected="a share above 0, up to 1")
    ties = keep if rule == "ties" else None
    return _combined(deltas, shares, to=to, base=base, first_head=first_head, store=store, ties=ties)


def show(delta: str, *, store: Path | None = None) -> dict[str, Any]:
    """What a delta says of itself, its files compared with their digests."""
    one = delta_at(delta, store)
    kinds = [facts.how for facts in one.facts.tensors.values()]
    return {
        "path": str(one.path),
        "form": one.facts.form,
        "base": one.facts.base.name,
        "base_digest": one.facts.base.digest,
        "labels": list(one.labels),
        "bytes": one.bytes,
        "error": one.facts.error.model_dump() if one.facts.error else None,
        "tensors": {how: kinds.count(how) for how in sorted(set(kinds))},
    }


def _combined(
    deltas: Sequence[str],
    weights: Sequence[float],
    *,
    to: Path,
    base: str | None,
    store: Path | None,
    first_head: bool = False,
    ties: float | None = None,
) -> DeltaMade:
    from penjing.models.deltas.arithmetic import Term, combine
    from penjing.models.deltas.difference import read_base, write_difference

    if not all(math.isfinite(weight) for weight in weights):
        raise UsageError(f"a weight of {weights[0]}, which is no finite number", expected="a factor such as 0.5")
    terms = [Term(delta_at(one, store), weight) for one, weight in zip(deltas, weights, strict=True)]
    if not first_head:
        _refuse_other_labels([term.delta for term in terms])
    start = read_base(base_for(terms[0].delta, base, store))

    def write(beside: Path) -> Delta:
        copy_surroundings(terms[0].delta.path, beside)
        found = combine(terms, start.tensors, rule="sum" if ties is None else "ties", keep=ties or 1.0)
        return write_difference(found, start, beside)

    return made(to, write, whole=None)


def _refuse_lonely(deltas: Sequence[str]) -> None:
    if len(deltas) < 2:
        raise UsageError(f"{len(deltas)} delta", expected="at least two")


def _refuse_other_labels(deltas: Sequence[Delta]) -> None:
    first = deltas[0]
    for other in deltas[1:]:
        if other.labels != first.labels:
            raise UsageError(
                f"{first.path} and {other.path} have different labels",
                expected="one set of labels: heads are not summed, the first delta's is taken",
                do="To sum what is below the head and keep the first's: --first-head.",
            )


def _shares(weights: Sequence[float] | None, count: int, rule: str) -> list[float]:
    told = list(weights) if weights is not None else [1.0] * count
    if len(told) != count or sum(told) == 0:
        raise UsageError(f"weights {told}", expected=f"{count} numbers that do not sum to 0")
    return told if rule == "ties" else [weight / sum(told) for weight in told]
