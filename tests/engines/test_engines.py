"""What holds for every engine: right answers from many threads, and plain errors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.tiny import random_sequences
from penjing.core.errors import CorruptBundleError, NotReadyError, UsageError
from penjing.engines import ENGINES, open_engine
from penjing.engines.base import feed
from penjing.tokens import pack_sequences

ALL = {"input_ids", "position_ids", "segment_ids", "token_type_ids", "cells"}


def test_answers_are_those_of_transformers_in_the_order_of_the_batch(engine, bert):
    batch = pack_sequences(bert.probes)
    outputs = engine.run(batch)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, bert.reference[batch.order], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_any_number_of_sequences_gets_as_many_answers(engine, count):
    sequences = random_sequences([3] * count)
    batch = pack_sequences(sequences)
    assert engine.run(batch).shape == (count, 5)


def test_an_answer_does_not_depend_on_row_mates_or_padding(engine):
    sequences = random_sequences([7, 30, 2, 11])
    together = pack_sequences(sequences, width=64)
    answers = engine.run(together)[np.argsort(together.order)]
    for sequence, answer in zip(sequences, answers, strict=True):
        for width in (32, 128):
            np.testing.assert_allclose(engine.run(pack_sequences([sequence], width=width))[0], answer, atol=1e-5)


def test_what_stands_in_padding_cells_reaches_no_answer(engine):
    sequences = random_sequences([5, 9])
    plain, other = (engine.run(pack_sequences(sequences, width=32, pad_id=pad)) for pad in (0, 77))
    np.testing.assert_array_equal(plain, other)


def test_many_threads_get_the_answers_that_one_gets(engine):
    batches = [pack_sequences(random_sequences([1 + seed % 20, 9, 1 + seed], seed=seed)) for seed in range(24)]
    serial = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:  # more callers than instances: some wait
        for _ in range(3):
            for expected, outputs in zip(serial, pool.map(engine.run, batches), strict=True):
                np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_the_answers_are_the_callers_own(engine):
    one, other = (pack_sequences(random_sequences([4], seed=seed)) for seed in (1, 2))
    first = engine.run(one)
    kept = first.copy()
    engine.run(other)
    np.testing.assert_array_equal(first, kept)


def test_a_failed_call_does_not_cost_an_instance(engine):
    good = pack_sequences(random_sequences([4]))
    bad = replace(good, position_ids=good.position_ids[:, :3])
    expected = engine.run(good)
    for _ in range(2 * engine.instances):
        with pytest.raises(Exception, match=r"(?i)shape|dimension|broadcast"):
            engine.run(bad)
    answered = threading.Thread(target=engine.run, args=(good,), daemon=True)
    answered.start()
    answered.join(20)
    assert not answered.is_alive()
    np.testing.assert_array_equal(engine.run(good), expected)


def test_closing_twice_is_closing_once_and_a_closed_engine_says_so(engine):
    batch = pack_sequences(random_sequences([4]))
    engine.run(batch)
    engine.close()
    engine.close()
    with pytest.raises(NotReadyError, match=f"{engine.name} engine is closed"):
        engine.run(batch)


def test_calls_under_way_outlive_a_close(engine):
    batch = pack_sequences(random_sequences([40] * 8))
    expected = engine.run(batch)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(engine.run, batch) for _ in range(12)]
        engine.close()
        for call in calls:
            if (error := call.exception(timeout=20)) is None:
                np.testing.assert_array_equal(call.result(), expected)
            else:
                assert isinstance(error, NotReadyError)


def graph(inputs, outputs):
    """A file that is a good ONNX model, from the first input to all outputs."""
    makes = [helper.make_node("Cast", [inputs[0]], [name], to=TensorProto.FLOAT) for name in outputs]
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in inputs]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in outputs]
    made = helper.make_graph(makes, "foreign", takes, gives)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\x08\x09", "cut short"])
def test_a_file_that_is_no_model_is_refused(tmp_path, bert, name, content):
    file = tmp_path / "model.onnx"
    if content is not None:
        file.write_bytes(bert.onnx.read_bytes()[:2000] if content == "cut short" else content)
    with pytest.raises(CorruptBundleError, match=r"(?s)cannot open .*model\.onnx.*Export the model again"):
        open_engine(name, file, instances=1)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(["pixels"], ["logits"]), (["cells", "input_ids"], ["embedding"]), (["input_ids"], ["logits"])],
)
def test_a_model_that_is_not_ours_is_refused_when_opened(tmp_path, name, inputs, outputs):
    file = tmp_path / "model.onnx"
    file.write_bytes(graph(inputs, outputs))
    with pytest.raises(CorruptBundleError, match=rf"takes .*{inputs[-1]}.* and gives {outputs[0]}.*expected a graph"):
        open_engine(name, file, instances=1)


def test_openvino_says_that_the_weights_of_its_files_are_gone(tmp_path, bert):
    from penjing.export.openvino_ir import write_openvino

    write_openvino(bert.onnx, tmp_path / "model.xml")
    (tmp_path / "model.bin").unlink()
    with pytest.raises(CorruptBundleError, match="cannot open"):
        open_engine("openvino", tmp_path / "model.xml", instances=1)


@pytest.mark.parametrize("name", ["tensorrt", "", "ONNXRUNTIME"])
def test_an_unknown_engine_names_the_known_ones(tmp_path, name):
    with pytest.raises(UsageError, match=f"engine '{name}'; expected one of onnxruntime, openvino"):
        open_engine(name, tmp_path / "model.onnx", instances=1)


@pytest.mark.parametrize(("sequences", "padded"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (17, 32)])
def test_the_list_of_first_tokens_has_few_lengths(sequences, padded):
    batch = pack_sequences(random_sequences([2] * sequences))
    first = feed(batch, ALL)["cells"]
    assert len(first) == padded
    assert first[:sequences].tolist() == batch.first.tolist()
    assert not first[sequences:].any(), "must point to a cell that exists"


def test_only_the_inputs_that_a_graph_has_are_fed():
    batch = pack_sequences(random_sequences([2]))
    assert set(feed(batch, ALL)) == ALL
    assert set(feed(batch, {"input_ids", "cells"})) == {"input_ids", "cells"}


def test_a_model_that_cannot_be_compiled_anew_keeps_its_streams(bert, monkeypatch):
    class Spoilt:
        def infer(self, *_, **__):
            raise RuntimeError("spoilt")

    def full():
        raise MemoryError

    engine = open_engine("openvino", bert.onnx, instances=1)
    batch = pack_sequences(random_sequences([4]))
    engine._free.get()
    engine._free.put(Spoilt())
    with monkeypatch.context() as context:
        context.setattr(engine, "_compile", full)
        for _ in range(2):  # with the stream gone, the second call would wait for ever
            with pytest.raises(MemoryError):
                engine.run(batch)
    with pytest.raises(RuntimeError, match="spoilt"):
        engine.run(batch)
    assert engine.run(batch).shape == (1, 5), "compiled anew"
    engine.close()
