"""The process that exports. Run as ``python -m penjing.export.worker``; never imported elsewhere.

Exporters change global state (one was seen to spoil a later export in the same process without
an error), so each export has a process of its own, and what it wrote is checked by another.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from penjing.core.errors import PenjingError
from penjing.core.nouns import Task
from penjing.engines.base import INPUTS, OUTPUT
from penjing.export.probes import read_probes
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.models.packed import PackedEncoder, RowForward, padded_outputs
from penjing.tokens.packing import places_read

# Newest operator set that the exporter, both engines and their quantisers share.
_OPSET = 18


def export(checkpoint: Path, target: Path, probes: Path) -> None:
    """Write ``target`` (ONNX, fp32) and ``target.npz`` (reference outputs for the probes)."""
    found = inspect_checkpoint(checkpoint)
    embedding = found.embedding if found.task is Task.FEATURE_EXTRACTION else None
    model = load_model(found)
    encoder = PackedEncoder(model, embedding)
    with torch.no_grad():
        rows = [
            padded_outputs(model, [one], pad_id=found.pad_id, embedding=embedding)[places_read(one, encoder.head.reads)]
            for one in read_probes(probes)
        ]
    np.savez(target.with_suffix(".npz"), logits=torch.cat(rows).numpy())
    encoder.leave_out_dead()  # the reference above is the whole model's
    _write_onnx(RowForward(encoder).eval(), target)


def _write_onnx(forward: RowForward, target: Path) -> None:
    # Sizes that appear nowhere in a model: what is traced must not be taken for a constant.
    example = [torch.ones((2, 22), dtype=torch.int64) for _ in INPUTS[:4]] + [torch.tensor([0, 9, 22])]
    if forward.encoder.head.reads == "mean":
        example.append(torch.tensor([9, 13, 5]))
    names, cells, read = INPUTS[: len(example)], {0: "rows", 1: "width"}, {0: "read"}
    # The tracing exporter: a third of the newer one's time here, and it knows more architectures.
    torch.onnx.export(
        forward,
        tuple(example),
        str(target),
        dynamo=False,
        opset_version=_OPSET,
        input_names=list(names),
        output_names=[OUTPUT],
        dynamic_axes={**dict.fromkeys(names[:4], cells), **dict.fromkeys((*names[4:], OUTPUT), read)},
    )


def main() -> None:
    """Arguments: checkpoint directory, ONNX file to write, probes file."""
    warnings.simplefilter("ignore")
    checkpoint, target, probes = (Path(text) for text in sys.argv[1:4])
    try:
        export(checkpoint, target, probes)
    except PenjingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
