"""The sequences on which two forms of a model are compared, as a file both processes can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing.tokens import Encoding

# The first ids are special ones in every family. RoBERTa's kin count positions past padding tokens, so
# that one inside a text, which no tokenizer puts there, would get other positions than in a packed row.
_ORDINARY_FROM = 5


def random_probes(*, vocabulary: int, max_tokens: int, count: int = 12, seed: int = 0) -> list[Encoding]:
    """Random ids of mixed lengths, the longest allowed one among them."""
    rng = np.random.default_rng(seed)
    longer = rng.integers(3, max(4, max_tokens), max(0, count - 3)).tolist()
    lengths = [max_tokens, *(min(length, max_tokens) for length in (1, 2, *longer))]
    return [Encoding(rng.integers(min(_ORDINARY_FROM, vocabulary - 1), vocabulary, length)) for length in lengths]


def write_probes(path: Path, sequences: Sequence[Encoding]) -> None:
    """Write ids, type ids and the tokens chosen to be read."""
    arrays = {}
    for index, sequence in enumerate(sequences):
        arrays[f"ids{index}"] = sequence.ids
        if sequence.type_ids is not None:
            arrays[f"types{index}"] = sequence.type_ids
        if sequence.chosen is not None:
            arrays[f"chosen{index}"] = sequence.chosen
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_probes(path: Path) -> list[Encoding]:
    """Read what :func:`write_probes` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(name.startswith("ids") for name in arrays.files)
        return [
            Encoding(arrays[f"ids{index}"], arrays.get(f"types{index}"), chosen=arrays.get(f"chosen{index}"))
            for index in range(count)
        ]
