"""Choosing rows by seed, each label by its share.

Promise: the same labels, number and seed choose the same rows on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.data.examples import Example, Kind
from penjing.data.overlap import Keyed, grouped
from penjing.data.recipe import DataRecipe
from penjing.data.shelf import picked

ROLES = ("train", "validation", "test")

Ints = npt.NDArray[np.int64]


def hold_out(parts: dict[str, Keyed[Kind]], recipe: DataRecipe, seed: int) -> list[str]:
    """Take test and validation out of ``parts["train"]`` where they are wanted and have no source.

    Rows with the same text go to the same side.

    Returns:
        A line a split held out, saying so.

    Raises:
        DataError: too few texts.
    """
    notes = []
    for role, fraction in (("test", recipe.test_fraction), ("validation", recipe.validation_fraction)):
        if role in parts or fraction is None:
            continue
        train = parts["train"]
        group, first = grouped(train.keys)
        labels = strata_of(picked(train.examples, first))
        held = stratified_choice(labels, max(1, round(fraction * len(first))), seed=_stream(seed, role), spare=True)
        if not held:
            raise _too_few(recipe.train, len(first), role)
        out = np.isin(group, held)
        parts[role] = train.at(np.flatnonzero(out))
        parts["train"] = train.at(np.flatnonzero(~out))
        notes.append(f"{role}: {int(out.sum()):,} rows held out of train{_by_share(labels)}, seed {seed}")
    return notes


def limit_rows(parts: dict[str, Keyed[Kind]], recipe: DataRecipe, seed: int) -> list[str]:
    """Cut ``parts`` to the recipe's limits.

    Returns:
        A line a split cut, saying so.

    Raises:
        DataError: the limit on train leaves a label without rows.
    """
    notes = []
    for role, part in list(parts.items()):
        limit = recipe.limit_train_rows if role == "train" else recipe.limit_eval_rows
        labels = strata_of(part.examples)
        if limit is None or limit >= len(labels):
            continue
        if role == "train" and limit < (kinds := len(set(labels))):
            raise DataError(f"limit_train_rows is {limit}", expected=f"at least {kinds}, a row for each label of train")
        parts[role] = part.at(stratified_choice(labels, limit, seed=_stream(seed, role, "limit"), spare=False))
        notes.append(f"{role}: {limit:,} of {len(labels):,} rows taken{_by_share(labels)}, seed {seed}")
    return notes


def strata_of(examples: Sequence[Example]) -> list[str]:
    """The group of each example, empty where it has none; of several the rarest, for it has fewest rows to spare."""
    often = Counter(group for example in examples for group in example.strata)
    return [min(example.strata, key=lambda group: (often[group], group), default="") for example in examples]


def stratified_choice(labels: Sequence[str], rows: int, *, seed: Sequence[int], spare: bool) -> list[int]:
    """Indices of ``rows`` items in ascending order, each label by its share.

    Args:
        labels: one an item.
        rows: how many to choose.
        seed: non-negative integers.
        spare: True leaves at least one item of each label unchosen (for holding out);
            False chooses at least one of each label, where ``rows`` allows (for limiting).

    Returns:
        Fewer than ``rows`` only where ``spare`` leaves no more.
    """
    rng = np.random.default_rng(list(seed))
    codes = {label: code for code, label in enumerate(sorted(set(labels)))}
    inverse = np.array([codes[label] for label in labels], np.int64)
    counts = np.bincount(inverse).astype(np.int64)
    low = np.full_like(counts, 0 if spare or rows < len(counts) else 1)
    quotas = _quotas(counts, rows, low=low, high=counts - 1 if spare else counts)
    chosen = [rng.permutation(np.flatnonzero(inverse == kind))[:quota] for kind, quota in enumerate(quotas)]
    return sorted(int(index) for part in chosen for index in part)


def _by_share(labels: Sequence[str]) -> str:
    """What a note says of labels, where there are any to choose by."""
    return ", each label by its share" if len(set(labels)) > 1 else ""


def _stream(seed: int, role: str, purpose: str = "hold out") -> tuple[int, int, int]:
    """Seeds that give each choice random numbers of its own."""
    return seed, ROLES.index(role), int(purpose == "limit")


def _too_few(source: str, texts: int, role: str) -> DataError:
    return DataError(
        f"{source} has {texts} distinct texts, too few to hold out a {role} split",
        expected="at least two texts of some label",
        do=f"Give {role}: a source of its own.",
    )


def _quotas(counts: Ints, rows: int, *, low: Ints, high: Ints) -> Ints:
    """Whole shares of ``rows`` by largest remainder, within bounds."""
    exact = rows * counts / counts.sum()
    quotas: Ints = np.clip(np.floor(exact).astype(np.int64), low, high)
    target = int(np.clip(rows, low.sum(), high.sum()))
    while (missing := target - int(quotas.sum())) != 0:
        owed = exact - quotas
        if missing > 0:
            quotas[np.argmax(np.where(quotas < high, owed, -np.inf))] += 1
        else:
            quotas[np.argmin(np.where(quotas > low, owed, np.inf))] -= 1
    return quotas
