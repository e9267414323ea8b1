"""ONNX Runtime. One session, many concurrent calls, one thread each: weights are held once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CorruptBundleError
from penjing.core.extras import require
from penjing.engines.base import OUTPUT, closed, feed, refuse_foreign
from penjing.tokens import PackedBatch


class OnnxRuntimeEngine:
    """See :class:`penjing.engines.base.Engine`."""

    name = "onnxruntime"

    def __init__(self, file: Path, *, instances: int, threads: int) -> None:
        runtime = require("onnxruntime", extra="serve")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn the core that the next instance needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own error types are not public
            raise CorruptBundleError(
                f"ONNX Runtime cannot open {file}: {error}", expected="an ONNX model", do="Export the model again."
            ) from error
        self.instances = instances
        self._session = session
        self._inputs = frozenset(entry.name for entry in session.get_inputs())
        refuse_foreign(file, inputs=self._inputs, outputs={entry.name for entry in session.get_outputs()})

    def run(self, batch: PackedBatch) -> npt.NDArray[np.float32]:
        """See :meth:`Engine.run`."""
        session = self._session
        if session is None:
            raise closed(self.name)
        (outputs,) = session.run([OUTPUT], feed(batch, self._inputs))
        answers: npt.NDArray[np.float32] = np.asarray(outputs, np.float32)[: len(batch.cells)]
        return answers

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._session = None
