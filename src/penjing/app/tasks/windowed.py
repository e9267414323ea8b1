"""Outputs of all windows of an example together, for tasks that read the whole of a text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from penjing.app.prepared import Part
from penjing.engines import Engine
from penjing.engines.bulk import bulk_token_outputs

Floats = npt.NDArray[np.float32]


def outputs_by_example(engine: Engine, part: Part) -> Iterator[tuple[int, list[Floats]]]:
    """(example, outputs float32 (tokens, outputs) of each of its windows) as its last window is answered."""
    windows = part.windows or ()
    owner = [(row, at) for row, own in enumerate(windows) for at in range(len(own))]
    waiting: dict[int, dict[int, Floats]] = {}
    for index, outputs in bulk_token_outputs(engine, part.sequences):
        row, at = owner[index]
        held = waiting.setdefault(row, {})
        held[at] = outputs
        if len(held) == len(windows[row]):
            yield row, [held[place] for place in range(len(held))]
            del waiting[row]
