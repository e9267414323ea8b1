"""``TensorProto`` against a slow reading of TensorFlow's own rules, value by value."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.grpc_client import tensor, varint
from penjing.core.errors import InvalidRequestError
from penjing.serve.api.tensorflow_serving.signatures import TensorSpec
from penjing.serve.grpc.messages import message
from penjing.serve.grpc.tensorflow_serving.tensors import read_tensor, write_tensor

IDS, TEXT = TensorSpec("input_ids", "int64", (-1, -1)), TensorSpec("text", "string", (-1,))
shapes = st.lists(st.integers(0, 4), max_size=3)
int64s = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def read(proto, spec=IDS, *, max_values=10_000):
    return read_tensor(proto, spec, place=0, max_values=max_values)


def filled(values, count, nothing):
    """FromProtoField, said plainly."""
    return [values[index] if index < len(values) else values[-1] if values else nothing for index in range(count)]


@given(shape=shapes, values=st.lists(int64s, max_size=20), kind=st.sampled_from(["int64", "int32"]))
def test_integers_in_their_field(shape, values, kind):
    if kind == "int32":
        values = [value % 2**31 for value in values]
    came = read(tensor(values, kind, shape=shape))
    assert came.shape == tuple(shape)
    assert came.dtype == np.int64
    assert came.ravel().tolist() == filled(values, math.prod(shape), 0)


@given(shape=shapes, values=st.lists(texts, max_size=20))
def test_texts_in_their_field(shape, values):
    assert read(tensor(values, "string", shape=shape), TEXT).ravel().tolist() == filled(values, math.prod(shape), "")


def test_what_stands_for_the_missing_keeps_its_nul():
    assert read(tensor(["a\x00"], "string", shape=[2]), TEXT).tolist() == ["a\x00", "a\x00"]


@given(values=st.lists(int64s, min_size=1, max_size=20))
def test_integers_as_bytes(values):
    assert read(tensor(values, content=True)).tolist() == values
    small = [value % 2**31 for value in values]
    assert read(tensor(small, "int32", content=True)).tolist() == small


@given(values=st.lists(texts | st.just("x" * 300), min_size=1, max_size=8))
def test_texts_as_bytes(values):
    assert read(tensor(values, "string", content=True), TEXT).tolist() == values


@given(content=st.binary(min_size=1, max_size=30), count=st.integers(1, 40))
def test_any_bytes_are_read_or_refused(content, count):
    refusals = []
    for spec, dtype in ((TEXT, 7), (IDS, 9), (IDS, 3)):
        proto = message("tensorflow.TensorProto")(dtype=dtype, tensor_content=content)
        proto.tensor_shape.dim.add(size=count)
        try:
            assert read(proto, spec).shape == (count,)
        except InvalidRequestError as error:
            refusals.append(str(error))
    assert all("tensor parsing error" in said or "UTF-8" in said for said in refusals)


def test_content_is_left_alone_where_there_are_no_values():
    proto = tensor([], shape=[0])
    proto.tensor_content = b"abc"
    assert read(proto).shape == (0,)


@pytest.mark.parametrize("lengths", [b"\xff\xff\xff\xff\xff\xff", b"\x80", varint(2**40)])
def test_lengths_that_are_none(lengths):
    proto = message("tensorflow.TensorProto")(dtype=7, tensor_content=lengths)
    proto.tensor_shape.dim.add(size=1)
    with pytest.raises(InvalidRequestError, match="1 strings in tensor_content"):
        read(proto, TEXT)


def test_unknown_rank_is_refused():
    proto = tensor([1])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(InvalidRequestError, match="a known shape"):
        read(proto)


@pytest.mark.parametrize(("dtype", "name"), [(1, "float"), (0, "invalid"), (99, "type 99")])
def test_types_that_are_refused(dtype, name):
    with pytest.raises(InvalidRequestError, match=f"to be int64 but {name} is provided"):
        read(message("tensorflow.TensorProto")(dtype=dtype))


@pytest.mark.parametrize("shape", [[2**31, 2**31], [10**6, 10**3], [0, 2**62], [1] * 8 + [2]])
def test_a_shape_takes_no_memory_before_it_is_checked(shape):
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequestError, match="tensor parsing error: input_ids"):
            read(tensor([1], shape=shape), max_values=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_shape_of_a_million_sizes_is_refused_at_once():
    proto = tensor([1], shape=[2] * 200_000)
    with pytest.raises(InvalidRequestError, match="at most 8 sizes"):
        read(proto)


@given(shape=st.lists(st.integers(0, 3), max_size=3), data=st.data())
def test_outputs_read_back(shape, data):
    count = math.prod(shape)
    floats = data.draw(st.lists(st.floats(width=32), min_size=count, max_size=count))
    proto = message("tensorflow.TensorProto")()
    write_tensor(proto, np.array(floats, np.float32).reshape(shape))
    assert proto.dtype == 1
    assert [dim.size for dim in proto.tensor_shape.dim] == shape
    np.testing.assert_array_equal(np.array(proto.float_val, np.float32), np.array(floats, np.float32))
    places = data.draw(st.lists(int64s, min_size=count, max_size=count))
    proto = message("tensorflow.TensorProto")()
    write_tensor(proto, np.array(places, np.int64).reshape(shape))
    assert read(proto).tolist() == np.array(places, np.int64).reshape(shape).tolist()
    names = data.draw(st.lists(texts, min_size=count, max_size=count))
    proto = message("tensorflow.TensorProto")()
    write_tensor(proto, np.array(names, object).reshape(shape))
    assert read(proto, TEXT).ravel().tolist() == names


def test_many_numbers_are_written_as_one_by_one():
    values = np.arange(100_000, dtype=np.float32)
    proto, slow = (message("tensorflow.TensorProto")() for _ in range(2))
    write_tensor(proto, values)
    slow.float_val.extend(values.tolist())
    assert proto.float_val == slow.float_val
