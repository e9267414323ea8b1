"""Plain graphs over padded batches, for programs other than ours: any shape, and Transformers' outputs."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from export.making import tiny_checkpoint
from models.tiny import VOCABULARY, tiny_model
from penjing.app.other_forms import export_padded
from penjing.core.errors import ExportError, ParityError, UsageError
from penjing.core.nouns import Task
from penjing.export.padded import write_padded
from penjing.export.parity import share_of_scale
from penjing.export.probes import random_probes

PROBES = random_probes(vocabulary=VOCABULARY, max_tokens=64, count=9)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_directory_that_others_load(tmp_path, form):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "roberta")
    assert export_padded(str(checkpoint), tmp_path / "plain", form=form).value < 1e-5
    names = {path.name for path in (tmp_path / "plain").iterdir()}
    assert names >= {"config.json", "tokenizer.json"} | (
        {"model.onnx"} if form == "onnx" else {"model.xml", "model.bin"}
    )
    assert not any(name.endswith((".safetensors", ".npz")) for name in names)
    with pytest.raises(UsageError, match="exists"):
        export_padded(str(checkpoint), tmp_path / "plain", form=form)


def test_answers_out_of_a_context_keep_their_two_outputs(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    tiny_model("distilbert", Task.QUESTION_ANSWERING).float().save_pretrained(checkpoint)
    assert write_padded(checkpoint, tmp_path, PROBES, form="onnx").value < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [entry.name for entry in session.get_outputs()] == ["start_logits", "end_logits"]


def test_outputs_that_differ_are_refused():
    wanted = np.array([[1.0, 2.0]], np.float32)
    assert share_of_scale(wanted, wanted, whose="x") == 0
    for given in (wanted + 0.01, wanted[:, :1], wanted * np.float32("nan")):
        with pytest.raises(ParityError):
            share_of_scale(given, wanted, whose="x")


def test_an_encoder_without_a_head_is_refused(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "distilbert")
    tiny_model("distilbert", Task.FILL_MASK).float().save_pretrained(checkpoint)
    with pytest.raises(ExportError, match="--engine"):
        write_padded(checkpoint, tmp_path, PROBES, form="onnx")
