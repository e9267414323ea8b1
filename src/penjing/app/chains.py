"""Which versions make the cheapest cascade: tried on the held-out texts that calibrate, never on those that test.

Promise: what is chosen here is still to be proved by the texts that test (:mod:`penjing.app.thresholds`), which this
module does not look at; so the proof needs no correction for the chains that were tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from penjing.app.held_out import Asked
from penjing.app.thresholds import loosest, parted, stage_of
from penjing.engines import sureness
from penjing.tasks.text_classification import fit_temperature

_MOST_BEFORE = 2  # stages before the last: a third seldom gains what it costs


def cheapest_chain(
    asked: Mapping[str, Asked], lasts: Sequence[str], *, answers: npt.NDArray[np.int64], agreement: float, seed: int
) -> tuple[str, ...] | None:
    """The stages, in order, of the cascade that would cost least.

    Args:
        asked: every version that may be a stage, on the held-out texts.
        lasts: those that may be the last one.
        answers: to agree with, int64 (texts,).
        agreement: to keep, 0..1.
        seed: of which texts calibrate.

    Returns:
        at least two names; None where none costs less than the cheapest of ``lasts`` alone.
    """
    rows, _ = parted(len(answers), seed=seed)
    wanted, sure, differs = answers[rows], dict[str, npt.NDArray[np.float64]](), dict[str, npt.NDArray[np.bool_]]()
    for name, one in asked.items():
        outputs = one.outputs[rows]
        sure[name] = sureness(outputs, fit_temperature(outputs, wanted))
        differs[name] = outputs.argmax(axis=1) != wanted
    best, least = None, min(asked[name].seconds for name in lasts)
    for chain in _chains(asked, lasts):
        before = np.stack([sure[name] for name in chain[:-1]])
        threshold = loosest(before, np.stack([differs[name] for name in chain]), most=(1 - agreement) * len(rows))
        taken = stage_of(before, threshold)
        cost = sum(asked[name].seconds * float(np.mean(taken >= at)) for at, name in enumerate(chain))
        if cost < least:
            best, least = chain, cost
    return best


def _chains(asked: Mapping[str, Asked], lasts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every chain of ever dearer stages."""
    by_cost = sorted(asked, key=lambda name: asked[name].seconds)
    for last in lasts:
        cheaper = [name for name in by_cost if asked[name].seconds < asked[last].seconds and name not in lasts]
        for many in range(1, _MOST_BEFORE + 1):
            yield from ((*some, last) for some in combinations(cheaper, many))
