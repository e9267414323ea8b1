"""Checkpoint → TensorFlow SavedModel, which stock TensorFlow and TensorFlow Serving load.

Transformers 5 has no TensorFlow models, so the graph is built by hand from the weights, in a process that has
TensorFlow and nothing of ours. Promise: what is written gave, loaded anew by TensorFlow, the outputs of Transformers'
own padded forward, within ``TOLERANCE`` of their scale, for batches of several shapes, padded and not.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing.core.errors import ExportError, ResourceError
from penjing.core.nouns import Measurement
from penjing.export.onnx_export import TOLERANCE
from penjing.export.parity import share_of_scale
from penjing.export.probes import write_probes
from penjing.export.process import run_file, run_worker
from penjing.tokens import Encoding

_WORKER = Path(__file__).with_name("tensorflow_worker.py")


def write_saved_model(
    checkpoint: Path, target: Path, probes: Sequence[Encoding], *, python: Path | None = None
) -> Measurement:
    """Write ``target``, a SavedModel directory that is not there yet.

    Args:
        checkpoint: a directory in Hugging Face layout.
        target: what to write.
        probes: without token types.
        python: an interpreter that has TensorFlow; None is this one.

    Returns:
        the largest difference from Transformers, as a share of the outputs' scale.

    Raises:
        ResourceError: that Python has no TensorFlow.
        ExportError, ParityError: nothing is written.
    """
    interpreter = python or Path(sys.executable)
    _check_tensorflow(interpreter)
    plain = [Encoding(one.ids) for one in probes]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch)
        asked, weights, answers = folder / "probes.npz", folder / "weights.npz", folder / "answers.npz"
        write_probes(asked, plain)
        run_worker("penjing.export.weights_worker", [str(checkpoint), str(weights), str(asked)])
        run_file(interpreter, _WORKER, ["build", str(weights), str(folder / "model")])
        run_file(interpreter, _WORKER, ["ask", str(folder / "model"), str(asked), str(answers)])
        with np.load(weights.with_suffix(".logits.npz")) as wanted, np.load(answers) as given:
            difference = share_of_scale(given["logits"], wanted["logits"], whose="TensorFlow", tolerance=TOLERANCE)
        shutil.move(folder / "model", target)
    return Measurement(value=difference, n=len(plain))


def _check_tensorflow(python: Path) -> None:
    looking = "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorflow') is None)"
    try:
        is_absent = subprocess.run([python, "-P", "-c", looking], check=False, capture_output=True).returncode != 0
    except OSError as error:
        raise ExportError(f"{python} cannot be run: {error.strerror}", expected="a Python interpreter") from error
    if is_absent:
        raise ResourceError(
            f"package 'tensorflow' is not installed for {python}",
            expected="the extra 'tensorflow', or another Python that has it",
            do="Run: pip install 'penjing[tensorflow]', or name one that has it: --tensorflow-python PATH.",
        )
