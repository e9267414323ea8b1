"""A SavedModel that TensorFlow loads and that answers as Transformers does. Runs where there is a TensorFlow:
in this Python, or in the one that the variable ``PENJING_TENSORFLOW_PYTHON`` names."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from export.making import tiny_checkpoint
from models.tiny import VOCABULARY, tiny_model
from penjing.app.other_forms import export_saved_model
from penjing.core.errors import ExportError, ParityError, ResourceError, UsageError
from penjing.core.nouns import Task
from penjing.export import saved_model
from penjing.export.probes import random_probes
from penjing.export.saved_model import write_saved_model

PYTHON = Path(os.environ.get("PENJING_TENSORFLOW_PYTHON", sys.executable))
IS_THERE = "PENJING_TENSORFLOW_PYTHON" in os.environ or find_spec("tensorflow") is not None
wants_tensorflow = pytest.mark.skipif(not IS_THERE, reason="TensorFlow is not installed (extra tensorflow)")
PROBES = random_probes(vocabulary=VOCABULARY, max_tokens=64, count=9)
LOADING = """
import sys, tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures
given = served["serving_default"].structured_input_signature[1]
print(sorted(served), {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in sorted(given.items())})
"""


@wants_tensorflow
@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_a_classifier_of_every_kind_of_family(tmp_path, family):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", family)
    assert write_saved_model(checkpoint, tmp_path / "1", PROBES, python=PYTHON).value < 1e-5
    said = subprocess.run(
        [PYTHON, "-c", LOADING, str(tmp_path / "1")], check=True, capture_output=True, text=True
    ).stdout
    inputs = "{'attention_mask': ('int64', [None, None]), 'input_ids': ('int64', [None, None])}"
    others = ", 'token_types'" if family in ("bert", "roberta", "electra") else ""
    assert said.strip() == f"['serving_default'{others}] {inputs}"


@wants_tensorflow
@pytest.mark.parametrize("task", [Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING])
def test_heads_that_read_every_token(tmp_path, task):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    tiny_model("distilbert", task).float().save_pretrained(checkpoint)
    assert write_saved_model(checkpoint, tmp_path / "1", PROBES, python=PYTHON).value < 1e-5


@wants_tensorflow
def test_what_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    monkeypatch.setattr(saved_model, "TOLERANCE", 0.0)
    with pytest.raises(ParityError, match="TensorFlow differs"):
        write_saved_model(checkpoint, tmp_path / "1", PROBES, python=PYTHON)
    assert not (tmp_path / "1").exists()


def test_a_python_without_tensorflow_is_named(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(ResourceError, match=r"'tensorflow' is not installed for .*python"):
        export_saved_model(str(checkpoint), tmp_path / "1", tensorflow_python=fake)
    with pytest.raises(ExportError, match="cannot be run"):
        export_saved_model(str(checkpoint), tmp_path / "1", tensorflow_python=tmp_path / "none")
    (tmp_path / "1").mkdir()
    with pytest.raises(UsageError, match="exists"):
        export_saved_model(str(checkpoint), tmp_path / "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "checkpoint", "python"]


def test_a_family_without_a_graph_is_refused(tmp_path, monkeypatch):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "mpnet")
    monkeypatch.setattr(saved_model, "_check_tensorflow", lambda _python: None)
    with pytest.raises(ExportError, match="a mpnet for text-classification"):
        write_saved_model(checkpoint, tmp_path / "1", PROBES)
