"""What int8 does to a model's own outputs, layer by layer: the error with this one layer alone in int8.

    error = mean (outputs in int8 − outputs in fp32)² / variance of the outputs in fp32

Measured on calibration texts through the engine that will serve. Layer by layer in the other direction (all in int8
but this one) costs more in ONNX Runtime and ranks worse (docs/decisions/0026).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.compress.kinds import layer_of, quantise_dynamic, quantise_static
from penjing.core.extras import require
from penjing.engines import Engine, open_engine
from penjing.engines.base import OUTPUT, feed
from penjing.engines.bulk import packed_batches
from penjing.tokens import Encoding, Reads

Ranking = list[dict[str, Any]]
_WEIGHTED = ("MatMul", "Gemm", "Gather")  # what the quantisers take of our graphs


def rank_dynamic(onnx: Path, sequences: Sequence[Encoding], *, reads: Reads) -> Ranking:
    """Of ONNX Runtime's kind: ``layer``, ``told`` (its weights' name) and ``error`` of each, the worst first."""
    reference = _through(onnx, sequences, reads=reads)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "model.onnx"
        for layer, told in _layers(onnx).items():
            quantise_dynamic(onnx, draft, only=[layer])
            outputs = _through(draft, sequences, reads=reads)
            found.append({"layer": layer, "told": told, "error": error_of(outputs, reference)})
    return _worst_first(found)


def rank_static(onnx: Path, sequences: Sequence[Encoding], *, reads: Reads) -> Ranking:
    """The same of OpenVINO's kind."""
    core = require("openvino", extra="serve").Core()
    told = _layers(onnx)
    model = quantise_static(onnx, sequences, reads=reads, folded=False)
    names = frozenset(port.any_name for port in model.inputs)
    batches = [feed(batch, names) for batch in packed_batches(sequences, reads=reads)]

    def outputs() -> np.ndarray:
        compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
        return np.concatenate([np.array(compiled(batch)[OUTPUT], np.float32) for batch in batches])

    steps = {layer: some for layer in told if (some := _rounding_steps(model, layer))}
    everything = [step for some in steps.values() for step in some]
    _lay(everything, rounded=False)
    reference, found = outputs(), []
    for layer, some in steps.items():
        _lay(some, rounded=True)
        found.append({"layer": layer, "told": told[layer], "error": error_of(outputs(), reference)})
        _lay(some, rounded=False)
    return _worst_first(found)


def error_of(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared difference, as a share of the variance of the reference."""
    variance = max(float(reference.var()), float(np.finfo(np.float32).tiny))
    return float(np.mean((outputs - reference) ** 2)) / variance


def _worst_first(found: Ranking) -> Ranking:
    return sorted(found, key=lambda one: (-one["error"], one["layer"]))


def _layers(onnx: Path) -> dict[str, str]:
    """Names of the nodes that have a matrix of weights, and what is told of each."""
    graph = require("onnx", extra="train").load(str(onnx)).graph
    matrices = {one.name for one in graph.initializer if len(one.dims) == 2}
    found = {}
    for node in graph.node:
        weights = [name for name in node.input if name in matrices]
        if node.op_type in _WEIGHTED and weights:
            found[node.name] = _plain(weights[0], node.name)
    return found


def _plain(weights: str, node: str) -> str:
    """The name of a layer in the checkpoint, where the exporter kept it."""
    if weights.startswith("onnx::"):
        return node.strip("/")
    return weights.removeprefix("encoder.").removeprefix("model.").removesuffix(".weight")


def _through(file: Path, sequences: Sequence[Encoding], *, reads: Reads) -> np.ndarray:
    engine: Engine = open_engine("onnxruntime", file, instances=1)
    try:
        return np.concatenate([engine.run(batch) for batch in packed_batches(sequences, reads=reads)])
    finally:
        engine.close()


_Step = tuple[Any, Any, Any]  # the input of a layer, what comes before rounding, what comes after


def _rounding_steps(model: Any, layer: str) -> list[_Step]:
    """Where numbers are rounded on their way into a layer."""
    found = []
    for node in model.get_ordered_ops():
        if layer_of(node.get_friendly_name()) != layer:
            continue
        for port in node.inputs():
            source = port.get_source_output().get_node()
            if source.get_type_name() == "FakeQuantize":
                found.append((port, source.input_value(0), source.output(0)))
    return found


def _lay(steps: Sequence[_Step], *, rounded: bool) -> None:
    for port, before, after in steps:
        port.replace_source_output(after if rounded else before)
