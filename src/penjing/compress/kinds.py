"""The two kinds of int8 by the engines' own tools, with layers left as they are where that is asked.

A layer is a matrix product or a table of embeddings, by the name of its node in the fp32 graph.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from penjing.core.extras import require
from penjing.engines.base import feed
from penjing.engines.bulk import packed_batches
from penjing.tokens import Encoding, Reads

# ONNX Runtime's quantiser parts a Gemm into a MatMul of this name and an Add before it quantises;
# OpenVINO's reader does the same under the other.
_OF_GEMM, _WITHOUT_BIAS = "_MatMul", "/WithoutBiases"


def quantise_dynamic(
    onnx: Path, target: Path, *, kept: Collection[str] = (), only: Collection[str] | None = None
) -> None:
    """ONNX Runtime's dynamic quantisation of constant matrices and of the embedding tables.

    ``reduce_range`` keeps weights to 7 bits: on processors without native 8-bit products two
    8-bit products can overflow the 16-bit sum they are added in.

    Args:
        onnx: fp32.
        target: the file to write.
        kept: layers that stay in fp32.
        only: the layers that do not; None is all others.
    """
    quantization = require("onnxruntime.quantization", extra="train")
    logging.disable(logging.WARNING)
    quantization.quantize_dynamic(
        str(onnx),
        str(target),
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=_parted(kept),
        nodes_to_quantize=None if only is None else _parted(only),
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": 1},
    )


def _parted(layers: Collection[str]) -> list[str]:
    return [name for layer in layers for name in (layer, layer + _OF_GEMM)]


def quantise_static(
    onnx: Path, sequences: Sequence[Encoding], *, reads: Reads, kept: Collection[str] = (), folded: bool = True
) -> Any:
    """NNCF's post-training quantisation of the same graph for OpenVINO.

    Args:
        onnx: fp32.
        sequences: on which ranges are taken.
        reads: what the head reads of each.
        kept: layers that stay in fp32.
        folded: weights are written in 8 bits; otherwise as they were, each with the step that rounds it behind it.
    """
    nncf, openvino = require("nncf", extra="train"), require("openvino", extra="serve")
    nncf.set_log_level(logging.ERROR)
    graph = openvino.Core().read_model(str(onnx))
    names = frozenset(port.any_name for port in graph.inputs)
    batches: list[Any] = [feed(batch, names) for batch in packed_batches(sequences, reads=reads)]
    left = (_pooling(graph) if "spans" in names else []) + _named(graph, kept)
    return nncf.quantize(
        graph,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(names=left) if left else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(backend_params={"compress_weights": folded}),
    )


def layer_of(operation: str) -> str:
    """The layer that an operation of OpenVINO's graph is of."""
    return operation.removesuffix(_WITHOUT_BIAS)


def _named(graph: Any, layers: Collection[str]) -> list[str]:
    names = (node.get_friendly_name() for node in graph.get_ordered_ops())
    return [name for name in names if layer_of(name) in layers]


def _pooling(graph: Any) -> list[str]:
    """Name of the product that takes the means: the last one, for all others lead to it.

    It has no weights to shrink, and 8 bits for its hidden states would be seen in every vector.
    """
    return [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == "MatMul"][-1:]
