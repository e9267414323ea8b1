"""The process that quantises. Run as ``python -m penjing.compress.worker``; never imported elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

from penjing.compress.kinds import quantise_dynamic, quantise_static
from penjing.compress.ranking import rank_dynamic, rank_static
from penjing.core.extras import require
from penjing.export.probes import read_probes
from penjing.tokens import Encoding, Reads


def make(engine: str, onnx: Path, target: Path, *, texts: list[Encoding], reads: Reads, kept: list[str]) -> None:
    """Write one kind."""
    if engine == "openvino":
        model = quantise_static(onnx, texts, reads=reads, kept=kept)
        require("openvino", extra="serve").save_model(model, str(target))
    else:
        quantise_dynamic(onnx, target, kept=kept)


def rank(engine: str, onnx: Path, target: Path, *, texts: list[Encoding], reads: Reads) -> None:
    """Write what int8 does to the outputs, layer by layer."""
    ranking = rank_static if engine == "openvino" else rank_dynamic
    target.write_text(json.dumps(ranking(onnx, texts, reads=reads)), encoding="utf-8")


def main() -> None:
    """Arguments: ``make`` or ``rank``, engine, fp32 ONNX file, file to write, calibration sequences, what the head
    reads, and for ``make`` the layers that stay in fp32, as JSON.
    """
    what, engine, (onnx, target, texts) = sys.argv[1], sys.argv[2], (Path(text) for text in sys.argv[3:6])
    sequences, reads = read_probes(texts), cast("Reads", sys.argv[6])
    if what == "rank":
        rank(engine, onnx, target, texts=sequences, reads=reads)
    else:
        make(engine, onnx, target, texts=sequences, reads=reads, kept=json.loads(sys.argv[7]))


if __name__ == "__main__":
    main()
