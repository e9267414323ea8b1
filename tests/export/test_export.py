"""An exported model answers as Transformers does, or it is refused."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.making import exported, tiny_checkpoint, tiny_encoder
from models.tiny import VOCABULARY, random_sequences
from penjing.core.errors import ExportError, ParityError
from penjing.engines import ENGINES, open_engine
from penjing.engines.base import INPUTS
from penjing.export.onnx_export import TOLERANCE, export_onnx, prove_parity
from penjing.export.openvino_ir import write_openvino
from penjing.export.probes import random_probes
from penjing.models.families import FAMILIES
from penjing.tokens import pack_sequences

IN_EVERY_RUN = {"bert", "roberta"}
EVERY_FAMILY = [
    family if family in IN_EVERY_RUN else pytest.param(family, marks=pytest.mark.slow) for family in sorted(FAMILIES)
]


def proof(name, file, made, **settings):
    engine = open_engine(name, file, instances=1)
    try:
        return prove_parity(engine, made.probes, made.reference, **settings)
    finally:
        engine.close()


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_every_family_is_exported_and_proven_with_every_engine(tmp_path, family):
    made = exported(family)
    assert np.abs(made.reference).max() > 0.05, "too small to prove anything"
    write_openvino(made.onnx, tmp_path / "deep" / "model.xml")
    files = [("onnxruntime", made.onnx), ("openvino", made.onnx), ("openvino", tmp_path / "deep" / "model.xml")]
    for name, file in files:
        measured = proof(name, file, made)
        assert measured.value < TOLERANCE / 10
        assert measured.n == len(made.probes)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_an_encoder_is_exported_with_its_pooling(tmp_path, pooling):
    """The same graph gives a vector a text, and where asked one a token."""
    checkpoint = tiny_encoder(tmp_path / "checkpoint", pooling)
    probes = random_probes(vocabulary=VOCABULARY, max_tokens=64, count=9)
    reference = export_onnx(checkpoint, tmp_path / "model.onnx", probes)
    names = [entry.name for entry in onnx.load(tmp_path / "model.onnx").graph.input]
    assert names == [name for name in INPUTS if pooling == "mean" or name != "spans"]
    tokens = {}
    for name in ("onnxruntime", "openvino"):
        engine = open_engine(name, tmp_path / "model.onnx", instances=1)
        assert prove_parity(engine, probes, reference, reads="mean").value < TOLERANCE / 10
        batch = pack_sequences(probes, reads="tokens")
        tokens[name] = batch.by_sequence(engine.run(batch))
        engine.close()
    np.testing.assert_allclose(np.concatenate(tokens["onnxruntime"]), np.concatenate(tokens["openvino"]), atol=1e-4)
    for row, one in zip(batch.order, tokens["openvino"], strict=True):
        expected = one.mean(axis=0) if pooling == "mean" else one[0]
        np.testing.assert_allclose(expected, reference[row], atol=1e-4)


def test_the_graph_takes_rows_of_any_shape():
    """Sizes met while tracing must not have become constants."""
    made = exported("bert")
    graph = onnx.load(made.onnx).graph
    assert [entry.name for entry in graph.input] == [name for name in INPUTS if name != "spans"]
    for entry in graph.input:
        assert all(side.dim_param for side in entry.type.tensor_type.shape.dim), entry.name
    engine = open_engine("onnxruntime", made.onnx, instances=1)
    for width, count in [(16, 1), (64, 3), (80, 30)]:
        batch = pack_sequences(random_sequences([9] * count), width=width)
        assert engine.run(batch).shape == (count, 5)


def test_only_the_model_is_left_behind():
    assert [file.name for file in exported("bert").onnx.parent.iterdir()] == ["model.onnx"]


@pytest.fixture(scope="module")
def altered(tmp_path_factory):
    """The tiny BERT with one matrix, the first layer's queries, larger by one in a hundred."""
    model = onnx.load(exported("bert").onnx)
    weights = next(
        entry for entry in model.graph.initializer if entry.name.endswith("layer.0.attention.self.query.weight")
    )
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.01), weights.name))
    file = tmp_path_factory.mktemp("altered") / "model.onnx"
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("name", ENGINES)
def test_altered_weights_are_refused(altered, name):
    with pytest.raises(ParityError, match=rf"{name} gives a difference .*expected at most 1e-04\. Do not serve") as met:
        proof(name, altered, exported("bert"))
    assert met.value.code == "parity"
    assert proof(name, altered, exported("bert"), tolerance=1.0).value > TOLERANCE


class Answering:
    """An engine that answers what it is told to."""

    name, instances = "answering", 1

    def __init__(self, answers):
        self.answers = np.asarray(answers, np.float32)

    def run(self, batch):
        return self.answers[batch.order] if len(self.answers) == len(batch.order) else self.answers

    def close(self):
        pass


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(wrong):
    probes, reference = random_sequences([3, 4]), np.ones((2, 5), np.float32)
    answers = reference.copy()
    answers[1, 2] = wrong
    with pytest.raises(ParityError):
        prove_parity(Answering(answers), probes, reference)


@pytest.mark.parametrize("shape", [(2, 1), (2, 6), (3, 5)])
def test_another_number_of_outputs_is_refused(shape):
    with pytest.raises(ParityError, match=r"outputs of shape .*expected \(2, 5\)"):
        prove_parity(Answering(np.ones(shape)), random_sequences([3, 4]), np.ones((2, 5), np.float32))


def test_a_model_whose_outputs_are_all_zero_agrees_with_itself_only():
    probes, zeros = random_sequences([3, 4]), np.zeros((2, 5), np.float32)
    assert prove_parity(Answering(zeros), probes, zeros).value == 0
    with pytest.raises(ParityError):
        prove_parity(Answering(zeros + 1e-6), probes, zeros)


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_opened_is_told_in_the_last_words(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", "bert")
    (checkpoint / "config.json").unlink()
    with pytest.raises(ExportError, match=r"export\.worker failed with status 1: .*lacks config\.json"):
        export_onnx(checkpoint, tmp_path / "engine" / "model.onnx", random_sequences([3]))
    assert not (tmp_path / "engine" / "model.onnx").exists()


@pytest.mark.slow
def test_a_family_without_a_packed_path_is_refused_by_name(tmp_path):
    made = tmp_path / "checkpoint"
    shutil.copytree(exported("bert").checkpoint, made)
    config = (made / "config.json").read_text()
    (made / "config.json").write_text(config.replace('"model_type": "bert"', '"model_type": "modernbert"'))
    with pytest.raises(ExportError, match="model type 'modernbert'"):
        export_onnx(made, tmp_path / "model.onnx", random_sequences([3]))
