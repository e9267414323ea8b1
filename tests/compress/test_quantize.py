"""int8 answers nearly as fp32 does, is smaller, and is chosen on evidence."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from export.making import exported, topical
from penjing.compress import quantize
from penjing.compress.quantize import make_int8, preferred_engine, quantise
from penjing.compress.recipe import QuantizeRecipe
from penjing.core.errors import ExportError, GateRefusal
from penjing.core.machine import describe_machine
from penjing.engines import ENGINE_FILES, open_engine
from penjing.tokens import Encoding, pack_sequences


def drawn(count, *, seed):
    """Sequences of many lengths on the topics that the tiny BERT was taught, and their topics."""
    ids, topics = topical(torch.Generator().manual_seed(seed), count=count, length=40)
    lengths = [8 + 3 * index % 33 for index in range(count)]
    return [Encoding(row[:length].numpy()) for row, length in zip(ids, lengths, strict=True)], topics.numpy()


CALIBRATION, _ = drawn(48, seed=5)


@pytest.fixture(scope="module")
def fp32():
    """The tiny BERT in ONNX: what is quantised."""
    return exported("bert").onnx


@pytest.fixture(scope="module", params=sorted(ENGINE_FILES))
def int8(request, fp32, tmp_path_factory):
    """Engine and file of each kind in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, make_int8(request.param, fp32, target=folder, calibration=CALIBRATION)


def answers(name, file, sequences, *, precision="int8"):
    engine = open_engine(name, file, instances=1, precision=precision)
    try:
        batch = pack_sequences(sequences)
        return engine.run(batch)[np.argsort(batch.order)]
    finally:
        engine.close()


def test_answers_are_close_to_those_of_fp32(fp32, int8):
    unseen, topics = drawn(200, seed=11)
    reference, outputs = answers("onnxruntime", fp32, unseen, precision="fp32"), answers(*int8, unseen)
    labels = reference.argmax(axis=1)
    assert np.mean(labels == topics) > 0.8, "a model that has learnt nothing proves nothing"
    assert np.mean(labels == outputs.argmax(axis=1)) > 0.97
    assert 1e-6 < np.abs(reference - outputs).mean() < 0.04 * np.abs(reference).max()


def test_the_weights_are_a_quarter_of_the_bytes(fp32, int8):
    name, file = int8
    weights = file if name == "onnxruntime" else file.with_suffix(".bin")
    assert weights.name in ("model.onnx", "model.bin")
    assert weights.stat().st_size < (0.8 if name == "onnxruntime" else 0.3) * fp32.stat().st_size


@pytest.mark.parametrize("int8", ["openvino"], indirect=True)
def test_a_static_answer_does_not_depend_on_its_batch_mates(int8):
    """A dynamic one does a little: its ranges come from each batch."""
    together = answers(*int8, CALIBRATION[:20])
    for index in (0, 7, 19):
        np.testing.assert_allclose(answers(*int8, [CALIBRATION[index]])[0], together[index], atol=1e-5)


def test_a_quantiser_that_fails_says_its_last_words(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ExportError, match=r"compress\.worker failed with status 1"):
        make_int8("onnxruntime", tmp_path / "model.onnx", target=tmp_path / "made", calibration=CALIBRATION)
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    ("instructions", "engine", "reason"),
    [
        ((), "onnxruntime", "no native 8-bit products"),
        (("avx2",), "onnxruntime", "no native 8-bit products"),
        (("avx2", "avx512f"), "onnxruntime", "no native 8-bit products"),
        (("avx2", "avx512f", "avx512_vnni"), "openvino", "avx512_vnni"),
        (("avx2", "avx_vnni"), "openvino", "avx_vnni"),
        (("amx_bf16",), "onnxruntime", "no native 8-bit products"),
        (("avx512_vnni", "amx_bf16", "amx_int8"), "openvino", "amx_int8"),
        (("asimddp",), "onnxruntime", "no native 8-bit products"),
    ],
)
def test_the_kind_follows_from_the_instruction_sets(instructions, engine, reason):
    chosen, note = preferred_engine(instructions)
    assert chosen == engine
    assert reason in note


class Fake:
    """An engine whose answers and speed stand in its file: the share of changed answers, and ms a call."""

    instances = 1

    def __init__(self, file):
        self.changed, self.call_ms = (float(word) for word in file.read_text().split())

    def run(self, batch):
        time.sleep(self.call_ms / 1000)
        labels = batch.input_ids.ravel()[batch.first] % 2
        flipped = np.arange(len(labels)) < self.changed * len(labels)
        return np.eye(2, dtype=np.float32)[np.where(flipped, 1 - labels, labels)]

    def close(self):
        pass


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Say what each kind's quantiser makes; then quantise."""
    (tmp_path / "fp32").write_text("0 0")
    made = []

    def run(recipe_engine, **kinds):
        def fake_make(engine, onnx, *, target, calibration, reads):
            made.append(engine)
            target.mkdir(parents=True, exist_ok=True)
            (target / ENGINE_FILES[engine]).write_text(kinds[engine])
            return target / ENGINE_FILES[engine]

        def fake_open(name, file, *, instances):
            return Fake(file)

        monkeypatch.setattr(quantize, "make_int8", fake_make)
        monkeypatch.setattr(quantize, "open_engine", fake_open)
        recipe = QuantizeRecipe(engine=recipe_engine)
        return quantise(tmp_path / "fp32", tmp_path / "target", CALIBRATION, recipe=recipe), made

    return run


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        ({"onnxruntime": "0 0", "openvino": "0 60"}, "onnxruntime"),
        ({"onnxruntime": "0 60", "openvino": "0 0"}, "openvino"),
        ({"onnxruntime": "0.4 0", "openvino": "0 60"}, "openvino"),  # the faster one answers wrongly
        ({"onnxruntime": "0.05 0", "openvino": "0 60"}, "onnxruntime"),  # it agrees well enough
    ],
)
def test_measuring_keeps_the_fastest_that_agrees(world, tmp_path, kinds, chosen):
    quantised, made = world("measure", **kinds)
    assert quantised.engine == chosen
    assert quantised.file == tmp_path / "target" / ENGINE_FILES[chosen]
    assert quantised.file.read_text() == kinds[chosen]
    assert "measured fastest of 2 kinds, agreement" in quantised.note
    assert sorted(made) == ["onnxruntime", "openvino"], "each is made once"
    assert [file.name for file in (tmp_path / "target").iterdir()] == [ENGINE_FILES[chosen]]


def test_measuring_refuses_when_nothing_agrees(world, tmp_path):
    with pytest.raises(GateRefusal, match=r"best int8 form agrees with fp32 on \d\d\.\d% of 48.*expected at least 90%"):
        world("measure", onnxruntime="0.2 0", openvino="0.7 0")
    assert not (tmp_path / "target").exists()


def test_auto_goes_by_this_processor_and_a_named_engine_by_its_name(world):
    kinds = {"onnxruntime": "0 0", "openvino": "0 0"}
    here = preferred_engine(describe_machine().instructions)
    quantised, made = world("auto", **kinds)
    assert (quantised.engine, quantised.note) == here
    assert made == [here[0]]
    for name in ENGINE_FILES:
        quantised, _ = world(name, **kinds)
        assert (quantised.engine, quantised.note) == (name, "chosen by the recipe")


@pytest.mark.slow
def test_measuring_real_engines(fp32, tmp_path):
    quantised = quantise(fp32, tmp_path / "made", CALIBRATION, recipe=QuantizeRecipe(engine="measure"))
    assert quantised.file.exists()
    assert answers(quantised.engine, quantised.file, CALIBRATION).shape == (48, 5)
