"""Checkpoint → a plain ONNX or OpenVINO graph over padded batches, for programs other than Penjing's server.

Promise: what is written gave, in its own engine, the outputs of Transformers' own forward, within ``TOLERANCE`` of
their scale, for a padded batch of several lengths and for batches of one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from penjing.core.extras import require
from penjing.core.nouns import Measurement
from penjing.export.openvino_ir import write_openvino
from penjing.export.parity import share_of_scale
from penjing.export.probes import write_probes
from penjing.export.process import run_worker
from penjing.tokens import Encoding

Form = Literal["onnx", "openvino"]
Fed = Mapping[str, npt.NDArray[np.int64]]
Run = Callable[[Fed], list[npt.NDArray[np.float32]]]


def write_padded(checkpoint: Path, folder: Path, probes: Sequence[Encoding], *, form: Form) -> Measurement:
    """Write ``model.onnx``, or ``model.xml`` and ``model.bin``, into a directory.

    Returns:
        the largest difference from Transformers, as a share of the outputs' scale.

    Raises:
        ExportError, ParityError: it is not to be used.
    """
    plain = [Encoding(one.ids) for one in probes]
    with tempfile.TemporaryDirectory() as scratch:
        asked, onnx = Path(scratch) / "probes.npz", Path(scratch) / "model.onnx"
        write_probes(asked, plain)
        run_worker("penjing.export.padded_worker", [str(checkpoint), str(onnx), str(asked)])
        if form == "onnx":
            (folder / "model.onnx").write_bytes(onnx.read_bytes())
            run, names = _onnxruntime(folder / "model.onnx")
        else:
            write_openvino(onnx, folder / "model.xml")
            run, names = _openvino(folder / "model.xml")
        with np.load(onnx.with_suffix(".npz")) as reference:
            difference = share_of_scale(_answers(run, names, plain), reference["logits"], whose=form)
    return Measurement(value=difference, n=len(plain))


def _answers(run: Run, names: Sequence[str], probes: Sequence[Encoding]) -> npt.NDArray[np.float32]:
    half = (len(probes) + 1) // 2
    batches = [probes[:half], *([one] for one in probes[half:])]
    return np.concatenate([row for batch in batches for row in _rows(run, names, batch)])


def _rows(run: Run, names: Sequence[str], batch: Sequence[Encoding]) -> list[npt.NDArray[np.float32]]:
    longest = max(map(len, batch))
    fed = {name: np.zeros((len(batch), longest), np.int64) for name in names}
    for row, one in enumerate(batch):
        fed["input_ids"][row, : len(one)], fed["attention_mask"][row, : len(one)] = one.ids, 1
    given = run(fed)
    outputs = given[0] if len(given) == 1 else np.stack(given, axis=-1)
    by_token = outputs.ndim > 2
    return [outputs[row, : len(one)] if by_token else outputs[row : row + 1] for row, one in enumerate(batch)]


def _onnxruntime(file: Path) -> tuple[Run, list[str]]:
    session = require("onnxruntime", extra="serve").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda fed: list(session.run(None, dict(fed))), [entry.name for entry in session.get_inputs()]


def _openvino(file: Path) -> tuple[Run, list[str]]:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled: Any = require("openvino", extra="serve").Core().compile_model(str(file), "CPU", exact)
    names = [entry.any_name for entry in compiled.inputs]
    return lambda fed: [np.array(compiled(dict(fed))[output]) for output in compiled.outputs], names
