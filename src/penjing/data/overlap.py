"""Texts that occur more than once: within a split, and across splits, where they are leakage.

Two examples are the same text if they agree after folding case and runs of white space, pair
included. That finds copies, not paraphrases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

from penjing.core.errors import DataError
from penjing.data.examples import Example, Kind
from penjing.data.report import Leak

Key = bytes

# In each pair the first gives up what it shares: the test split is never touched.
_YIELDS_TO = (("validation", "test"), ("train", "test"), ("train", "validation"))
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Keyed(Generic[Kind]):
    """Examples and, in parallel, the key of what of each may stand in one split only."""

    examples: list[Kind]
    keys: list[Key]

    def at(self, indices: Iterable[int]) -> Keyed[Kind]:
        """The chosen ones, in the order given."""
        chosen = list(indices)
        return Keyed([self.examples[i] for i in chosen], [self.keys[i] for i in chosen])

    def same_text(self) -> list[list[int]]:
        """Indices of equal keys together, by first occurrence."""
        return grouped(self.keys)


def texts_of(example: Example) -> tuple[str, ...]:
    """All the texts of an example."""
    return example.texts


def with_keys(examples: list[Kind], unit: Callable[[Kind], tuple[str, ...]] = texts_of) -> Keyed[Kind]:
    """Compute the keys.

    Args:
        examples: of one source.
        unit: example → the texts that may stand in one split only.
    """
    return Keyed(examples, [text_key(unit(example)) for example in examples])


def grouped(keys: Sequence[Key]) -> list[list[int]]:
    """Indices of equal keys together, by first occurrence."""
    groups: dict[Key, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def text_key(texts: tuple[str, ...]) -> Key:
    """16 bytes that are equal for the same texts."""
    folded = "\0".join(" ".join(part.casefold().split()) for part in texts)
    return hashlib.blake2b(folded.encode(), digest_size=16).digest()


def settle_leaks(parts: dict[str, Keyed[Kind]], policy: Literal["drop", "error", "report"]) -> list[Leak]:
    """Find texts that are in two splits and do what the policy says, in ``parts`` itself.

    Raises:
        DataError: the policy is ``error`` and there are some, or nothing of a split would be left.
    """
    leaks = []
    for loser, keeper in _YIELDS_TO:
        if loser in parts and keeper in parts:
            leak = _settle(parts, loser, keeper, drop=policy == "drop")
            if leak.rows and policy == "error":
                raise _refusal(leak)
            if leak.rows:
                leaks.append(leak)
    return leaks


def _settle(parts: dict[str, Keyed[Kind]], loser: str, keeper: str, *, drop: bool) -> Leak:
    part, taken = parts[loser], frozenset(parts[keeper].keys)
    shared = [index for index, key in enumerate(part.keys) if key in taken]
    first = tuple(part.examples[index].origin for index in shared[:_SHOWN])
    if drop and shared:
        if len(shared) == len(part.keys):
            raise DataError(
                f"every text of {loser} is in {keeper} too",
                expected="splits that differ",
                do=f"Name another source as {keeper}:, or none to have one held out of train.",
            )
        parts[loser] = part.at(index for index, key in enumerate(part.keys) if key not in taken)
    return Leak(split=loser, also_in=keeper, rows=len(shared), first=first, dropped=drop)


def _refusal(leak: Leak) -> DataError:
    return DataError(
        f"{leak.split} shares {leak.rows} of its rows with {leak.also_in}: {', '.join(leak.first)}",
        expected="no text in two splits",
        do="Remove them, or set on_leak: drop to leave them out, on_leak: report to keep them.",
    )
