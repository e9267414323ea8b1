"""OpenVINO on the CPU. One compiled model with a stream for each instance: weights are held once."""

from __future__ import annotations

import queue
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CorruptBundleError
from penjing.core.extras import require
from penjing.engines.base import INPUTS, OUTPUT, Precision, closed, feed, refuse_foreign
from penjing.tokens import PackedBatch


class OpenVinoEngine:
    """See :class:`penjing.engines.base.Engine`."""

    name = "openvino"

    def __init__(self, file: Path, *, instances: int, threads: int, precision: Precision) -> None:
        openvino = require("openvino", extra="serve")
        config: dict[str, object] = {
            "NUM_STREAMS": instances,
            "INFERENCE_NUM_THREADS": instances * threads,
            "ENABLE_CPU_PINNING": False,
        }
        if precision != "int8":  # on some processors it would compute fp32 models in bf16 unasked
            config["INFERENCE_PRECISION_HINT"] = "f32" if precision == "fp32" else "bf16"
        try:
            model = openvino.Core().compile_model(str(file), "CPU", config)
        except Exception as error:  # OpenVINO raises plain RuntimeError
            raise CorruptBundleError(
                f"OpenVINO cannot open {file}: {error}",
                expected="an OpenVINO or ONNX model",
                do="Export the model again.",
            ) from error
        self.instances = instances
        self._inputs = frozenset(_name(port, INPUTS) for port in model.inputs)
        refuse_foreign(file, inputs=self._inputs, outputs={_name(port, (OUTPUT,)) for port in model.outputs})
        self._free: queue.SimpleQueue[Any] | None = queue.SimpleQueue()
        for _ in range(instances):
            self._free.put(model.create_infer_request())

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :meth:`Engine.run`."""
        free = self._free
        if free is None:
            raise closed(self.name)
        request = free.get()
        try:
            result = request.infer(feed(batch, self._inputs), share_inputs=True)
            return np.array(result[OUTPUT], np.float32)[: len(batch.first)]
        finally:
            free.put(request)

    def close(self) -> None:
        """See :meth:`Engine.close`. Calls under way, and those that wait for a stream, still end."""
        self._free = None


def _name(port: Any, known: Collection[str]) -> str:
    """The known one of a port's names; a port may have several or none."""
    names = sorted(port.get_names())
    return next((name for name in names if name in known), names[0] if names else "(unnamed)")
