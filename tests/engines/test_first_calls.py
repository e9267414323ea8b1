"""The first calls of a process may come all at once: OpenVINO 2026.4 then waited for itself for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penjing.engines import ENGINES
from serve.onnx_models import tiny_onnx

AT_ONCE = """
import sys, threading
import numpy as np
from pathlib import Path
from penjing.engines import open_engine
from penjing.tokens import Encoding, pack_sequences
sys.setswitchinterval(1e-6)
engine = open_engine(sys.argv[2], Path(sys.argv[1]), instances=4, threads=1, precision="fp32")
batch, gate, answers = pack_sequences([Encoding(np.array([6, 7]))]), threading.Barrier(4), []
def call():
    gate.wait()
    answers.append(engine.run(batch).tolist())
callers = [threading.Thread(target=call) for _ in range(4)]
for caller in callers: caller.start()
for caller in callers: caller.join()
assert answers == [[[3.0, 4.0, 5.0]]] * 4
"""


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("_again", range(2))
def test_first_calls_at_once_are_all_answered(tmp_path, name, _again):
    file = tmp_path / "model.onnx"
    file.write_bytes(tiny_onnx())
    subprocess.run([sys.executable, "-c", AT_ONCE, str(file), name], check=True, timeout=60)
