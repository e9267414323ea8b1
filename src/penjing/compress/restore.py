"""Accuracy control: layers that int8 spoils most go back to fp32, the fewest that keep a promise.

Layers are ranked once (:mod:`penjing.compress.ranking`). Then the number of them that go back is doubled until the
promise holds, and halved between the last that did not and the first that did.

Trade: that takes some log₂ of the layers many int8 files and judgements instead of one a layer; where more layers in
fp32 do not always lose less, another number than the fewest may be found. It holds all the same, for it was judged.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.engines import EngineName
from penjing.export.probes import write_probes
from penjing.export.process import run_worker
from penjing.tokens import Encoding, Reads


@dataclass(frozen=True, slots=True)
class Ranked:
    """A layer and what int8 does to it.

    Attributes:
        layer: the name of its node.
        told: its name in the checkpoint.
        error: of the model's outputs with this layer alone in int8, as a share of their variance.
    """

    layer: str
    told: str
    error: float


def rank_layers(engine: EngineName, onnx: Path, calibration: Sequence[Encoding], *, reads: Reads) -> list[Ranked]:
    """All layers that a kind of int8 would take, the worst first, in a process of its own.

    Raises:
        ExportError: it failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        texts, found = Path(scratch) / "calibration.npz", Path(scratch) / "ranking.json"
        write_probes(texts, calibration)
        run_worker("penjing.compress.worker", ["rank", engine, str(onnx), str(found), str(texts), reads])
        return [Ranked(**one) for one in json.loads(found.read_text(encoding="utf-8"))]


def fewest(layers: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest number of layers, 1 to ``layers``, for which ``holds``, as far as doubling and halving finds it.

    Returns:
        None where not even ``layers`` of them are enough.
    """
    below, count = 0, 1
    while not holds(min(count, layers)):
        if count >= layers:
            return None
        below, count = count, 2 * count
    above = min(count, layers)
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above
