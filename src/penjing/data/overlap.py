"""Texts that occur more than once: within a split, and across splits, where they are leakage.

Two examples are the same text if they agree after folding case and runs of white space, pair
included. That finds copies, not paraphrases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.data.examples import Example, Kind
from penjing.data.report import Leak
from penjing.data.shelf import picked

Key = bytes
Keys = npt.NDArray[np.bytes_]  # all of 16 bytes, so that NumPy's disregard of zeros at their end changes nothing

# In each pair the first gives up what it shares: the test split is never touched.
_YIELDS_TO = (("validation", "test"), ("train", "test"), ("train", "validation"))
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Keyed(Generic[Kind]):
    """Examples and, in parallel, the key of what of each may stand in one split only: ``S16`` (examples,)."""

    examples: Sequence[Kind]
    keys: Keys

    def at(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Keyed[Kind]:
        """The chosen ones, in the order given."""
        chosen = np.asarray(indices, np.int64)
        return Keyed(picked(self.examples, chosen), self.keys[chosen])


def texts_of(example: Example) -> tuple[str, ...]:
    """All the texts of an example."""
    return example.texts


def with_keys(examples: Sequence[Kind], unit: Callable[[Kind], tuple[str, ...]] = texts_of) -> Keyed[Kind]:
    """Compute the keys.

    Args:
        examples: of one source.
        unit: example → the texts that may stand in one split only.
    """
    return Keyed(examples, keys_of(map(unit, examples)))


def keys_of(texts: Iterable[tuple[str, ...]]) -> Keys:
    """The key of each."""
    return np.fromiter(map(text_key, texts), "S16")


def grouped(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Equal keys by number, counted by first occurrence.

    Returns:
        int64 (keys,), the number of each; int64 (groups,), where each number stands first.
    """
    _, first, sorted_number = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[sorted_number], first[order]


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
    part = parts[loser]
    is_shared = np.isin(part.keys, parts[keeper].keys)
    shared = np.flatnonzero(is_shared)
    first = tuple(part.examples[int(index)].origin for index in shared[:_SHOWN])
    if drop and len(shared):
        if len(shared) == len(part.keys):
            raise DataError(
                f"every text of {loser} is in {keeper} too",
                expected="splits that differ",
                do=f"Name another source as {keeper}:, or none to have one held out of train.",
            )
        parts[loser] = part.at(np.flatnonzero(~is_shared))
    return Leak(split=loser, also_in=keeper, rows=len(shared), first=first, dropped=drop)


def _refusal(leak: Leak) -> DataError:
    return DataError(
        f"{leak.split} shares {leak.rows} of its rows with {leak.also_in}: {', '.join(leak.first)}",
        expected="no text in two splits",
        do="Remove them, or set on_leak: drop to leave them out, on_leak: report to keep them.",
    )
