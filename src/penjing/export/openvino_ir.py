"""ONNX → OpenVINO's own files (``.xml`` and ``.bin``), weights kept in fp32."""

from __future__ import annotations

from pathlib import Path

from penjing.core.extras import require


def write_openvino(onnx: Path, target: Path) -> None:
    """Convert ``onnx`` to ``target`` (``.xml``); its ``.bin`` lands beside it."""
    openvino = require("openvino", extra="serve")
    target.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.Core().read_model(str(onnx)), str(target), compress_to_fp16=False)
