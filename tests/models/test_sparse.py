"""Sparse weights: every bit comes back, a file that is not as it was written is refused, a full disk costs nothing."""

from __future__ import annotations

import json
import resource
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from penjing.core.errors import CheckpointError, ResourceError
from penjing.models.sparse import SPARSE_FILE, is_sparse, read_sparse, store_sparse

floats = st.floats(width=16) | st.sampled_from([0.0, 0.0, 0.0, -0.0, float("nan"), float("inf"), 1e-45])


def written(path, weights):
    path.mkdir(parents=True, exist_ok=True)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def sparse_weights(share=0.9):
    torch.manual_seed(0)
    weight = torch.randn(33, 41)
    return {"a.weight": weight * (torch.rand(33, 41) > share), "a.bias": torch.randn(33), "ids": torch.arange(7)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@given(numbers=st.lists(floats, max_size=40))
def test_every_bit_comes_back(tmp_path_factory, dtype, numbers):
    path = tmp_path_factory.mktemp("sparse")
    weights = {"w": torch.tensor([*numbers, *[0.0] * 3000]).to(dtype).reshape(1, -1), "b": torch.ones(3)}
    before, after = store_sparse(written(path, weights))
    assert after < before
    assert not (path / "model.safetensors").exists()
    found = read_sparse(path / SPARSE_FILE)
    assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
        name: (one.shape, one.dtype) for name, one in weights.items()
    }
    for name, one in weights.items():
        assert torch.equal(found[name].contiguous().view(torch.uint8), one.view(torch.uint8)), name


def test_the_form_is_what_its_description_says(tmp_path):
    weights = sparse_weights()
    store_sparse(written(tmp_path, weights))
    with safe_open(tmp_path / SPARSE_FILE, "np") as opened:
        told = opened.metadata()
        mask, values = opened.get_tensor("a.weight:mask"), opened.get_tensor("a.weight:values")
    assert json.loads(told["shapes"]) == {"a.weight": [33, 41]}
    again = np.zeros(33 * 41, np.float32)
    again[np.unpackbits(mask)[: 33 * 41].astype(bool)] = values
    np.testing.assert_array_equal(again.reshape(33, 41), weights["a.weight"])


def test_weights_that_are_not_sparse_stay_ordinary(tmp_path):
    before, after = store_sparse(written(tmp_path, {"w": torch.randn(40, 40)}))
    assert after >= before
    assert (tmp_path / "model.safetensors").exists()
    assert not is_sparse(tmp_path)


def changed(path, **how):
    stored = load_file(path / SPARSE_FILE)
    with safe_open(path / SPARSE_FILE, "pt") as opened:
        told = opened.metadata()
    save_file({**stored, **how.pop("tensors", {})}, path / SPARSE_FILE, metadata={**told, **how})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"shapes": '{"a.weight": [33, 42]}'}, "no mask of 1386 bits"),
        ({"shapes": '{"a.weight": [99999999, 99999999]}'}, "no mask of"),
        ({"shapes": '{"a.weight": [-1, 3]}'}, "shapes that are none"),
        ({"shapes": "[]"}, "no shapes"),
        ({"shapes": '{"other": [1]}'}, "no mask of 1 bits"),
        ({"format": "pt"}, "says it is 'pt'"),
        ({"digest": "0" * 64}, "other weights"),
        ({"tensors": {"a.weight:values": torch.ones(3)}}, "values for"),
        ({"tensors": {"a.bias": torch.zeros(33)}}, "other weights"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(tmp_path, how, said):
    store_sparse(written(tmp_path, sparse_weights()))
    changed(tmp_path, **how)
    with pytest.raises(CheckpointError, match=said):
        read_sparse(tmp_path / SPARSE_FILE)


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    store_sparse(written(tmp_path, sparse_weights()))
    file = tmp_path / SPARSE_FILE
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="promises"):
        read_sparse(file)


def test_a_disk_that_fills_leaves_the_ordinary_weights(tmp_path, monkeypatch):
    written(tmp_path, sparse_weights())
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(ResourceError):
            store_sparse(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, former)
    torch.testing.assert_close(load_file(tmp_path / "model.safetensors"), sparse_weights())
