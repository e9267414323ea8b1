"""TensorFlow Serving's services through Google's own stubs, in a process of their own.

The stubs are in the package tensorflow-serving-api. It asks for TensorFlow, but does without if it is installed
with ``pip install --no-deps``. ``PENJING_TENSORFLOW_PYTHON`` names a Python that has both, to ask with that one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from contract.cases import EVEN, served
from serve.admitted import guarded
from serve.certified import Certified

PROGRAM = Path(__file__).with_name("official_stubs.py")
PYTHON = os.environ.get("PENJING_TENSORFLOW_PYTHON", sys.executable)

pytestmark = pytest.mark.skipif(
    sys.executable == PYTHON and find_spec("tensorflow_serving") is None,
    reason="the official stubs are not installed; pip install --no-deps tensorflow-serving-api",
)


def ran(*words):
    done = subprocess.run(
        [PYTHON, str(PROGRAM), *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_same_calls_with_a_key_as_call_credentials(tmp_path):
    files = Certified(tmp_path)
    with guarded(tmp_path, grpc_port=0, **files.told) as (server, keys):
        told = ran(server.grpc_address, tmp_path / "store" / "m", keys["*:admin"], files.ca)
    assert told["logits"] == [[6.0, 7.0, 8.0, 2.5, 3.5, 4.5], 1]
    assert told["reload"] == 0


def test_one_of_each_call(tmp_path):
    with served(tmp_path, grpc_port=0) as server:
        told = ran(server.grpc_address, tmp_path / "m")
    assert told == {
        "logits": [[6.0, 7.0, 8.0, 2.5, 3.5, 4.5], 1],
        "label": ["good", "good"],
        "classes": [[label, pytest.approx(score, abs=1e-6)] for label, score in EVEN.items()],
        "multi": 1,
        "signatures": ["classify", "serving_default", "text"],
        "method": "tensorflow/serving/predict",
        "input_ids": [9, [-1, -1]],
        "status": [[2, 30, 0], [1, 30, 0]],
        "faults": [
            ["NOT_FOUND", "Servable not found for request: Latest(x)"],
            ["NOT_FOUND", "Servable not found for request: Latest(x)"],
            ["NOT_FOUND", "Could not find any versions of model x"],
        ],
        "reload": 0,
    }
