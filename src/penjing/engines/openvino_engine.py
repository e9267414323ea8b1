"""OpenVINO on the CPU. One compiled model with a stream for each instance: weights are held once.

A call that fails can leave shapes behind in its stream which spoil later calls, so after one the
model is compiled anew; the calls that wait for a stream get a new one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from functools import partial
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
        openvino.Type.i64.to_dtype()  # the first call makes a table; two at once wait for each other for ever
        config: dict[str, object] = {
            "NUM_STREAMS": instances,
            "INFERENCE_NUM_THREADS": instances * threads,
            "ENABLE_CPU_PINNING": False,
        }
        if precision != "int8":  # on some processors it would compute fp32 models in bf16 unasked
            config["INFERENCE_PRECISION_HINT"] = "f32" if precision == "fp32" else "bf16"
        self._compile: Callable[[], Any] = partial(openvino.Core().compile_model, str(file), "CPU", config)
        try:
            model = self._compile()
        except Exception as error:  # OpenVINO raises plain RuntimeError
            raise CorruptBundleError(
                f"OpenVINO cannot open {file}: {error}",
                expected="an OpenVINO or ONNX model",
                do="Export the model again.",
            ) from error
        self.instances = instances
        self._inputs = frozenset(_name(port, INPUTS) for port in model.inputs)
        refuse_foreign(file, inputs=self._inputs, outputs={_name(port, (OUTPUT,)) for port in model.outputs})
        self._renewing = threading.Lock()
        self._free: queue.SimpleQueue[Any] | None = self._streams(model)

    def _streams(self, model: Any) -> queue.SimpleQueue[Any]:
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.instances):
            free.put(model.create_infer_request())
        return free

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :meth:`Engine.run`."""
        inputs = feed(batch, self._inputs)
        while True:
            free = self._free
            if free is None:
                raise closed(self.name)
            request = free.get()
            if request is not None:
                break
            free.put(None)  # these streams are of a model that was replaced; others may wait for them too
        try:
            result = request.infer(inputs, share_inputs=True)
            outputs = np.array(result[OUTPUT], np.float32)[: len(batch.cells)]
        except BaseException:
            self._renew(free, request)
            raise
        free.put(request)
        return outputs

    def _renew(self, spoilt: queue.SimpleQueue[Any], request: Any) -> None:
        handed_on = request  # if compiling fails (memory), the old stream is better than none
        try:
            with self._renewing:
                if self._free is spoilt:
                    self._free = self._streams(self._compile())
            handed_on = None
        finally:
            spoilt.put(handed_on)

    def close(self) -> None:
        """See :meth:`Engine.close`. Calls under way, and those that wait for a stream, still end."""
        self._free = None


def _name(port: Any, known: Collection[str]) -> str:
    """The known one of a port's names; a port may have several or none."""
    names = sorted(port.get_names())
    return next((name for name in names if name in known), names[0] if names else "(unnamed)")
