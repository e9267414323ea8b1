"""The process that quantises. Run as ``python -m penjing.compress.worker``; never imported elsewhere."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, cast

from penjing.core.extras import require
from penjing.engines.base import feed
from penjing.engines.bulk import packed_batches
from penjing.export.probes import read_probes
from penjing.tokens import Reads


def quantise_dynamic(onnx: Path, target: Path) -> None:
    """ONNX Runtime's dynamic quantisation of constant matrices and of the embedding tables.

    ``reduce_range`` keeps weights to 7 bits: on processors without native 8-bit products two
    8-bit products can overflow the 16-bit sum they are added in.
    """
    quantization = require("onnxruntime.quantization", extra="train")
    logging.disable(logging.WARNING)
    quantization.quantize_dynamic(
        str(onnx),
        str(target),
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": 1},
    )


def quantise_static(onnx: Path, target: Path, calibration: Path, *, reads: Reads) -> None:
    """NNCF's post-training quantisation of the same graph for OpenVINO."""
    nncf, openvino = require("nncf", extra="train"), require("openvino", extra="serve")
    nncf.set_log_level(logging.ERROR)
    graph = openvino.Core().read_model(str(onnx))
    names = frozenset(port.any_name for port in graph.inputs)
    batches: list[Any] = [feed(batch, names) for batch in packed_batches(read_probes(calibration), reads=reads)]
    model = nncf.quantize(
        graph,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(names=_pooling(graph)) if "spans" in names else None,
    )
    openvino.save_model(model, str(target))


def _pooling(graph: Any) -> list[str]:
    """Name of the product that takes the means: the last one, for all others lead to it.

    It has no weights to shrink, and 8 bits for its hidden states would be seen in every vector.
    """
    return [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == "MatMul"][-1:]


def main() -> None:
    """Arguments: engine, fp32 ONNX file, file to write, calibration sequences, what the head reads."""
    engine, (onnx, target, calibration) = sys.argv[1], (Path(text) for text in sys.argv[2:5])
    if engine == "openvino":
        quantise_static(onnx, target, calibration, reads=cast("Reads", sys.argv[5]))
    else:
        quantise_dynamic(onnx, target)


if __name__ == "__main__":
    main()
