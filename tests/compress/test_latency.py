"""A latency table out of a machine whose costs are known, kept for that machine alone."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.compress.latency import Chain, Shape, chains, kept_table, table_of
from penjing.core.machine import describe_machine

SHAPE = Shape(
    family="bert", hidden=32, heads=8, neurons=64, reads="first", engine="onnxruntime", precision="fp32", tokens=24,
    machine=describe_machine(),
)  # fmt: skip


def known_ms(chain):
    inner = (chain.layers - 1) * (0.5 * chain.heads + 0.01 * chain.neurons)
    return 2.0 + 0.25 * chain.layers + inner + 0.3 * chain.last_heads + 0.001 * chain.last_neurons


def test_a_table_gives_the_costs_it_was_made_from():
    table = table_of(SHAPE, {chain: known_ms(chain) for chain in chains(SHAPE)})
    assert table.rest_ms(6) == pytest.approx(2 + 0.25 * 6)
    counts = np.array([0, 1, 3, 8])
    np.testing.assert_allclose(table.of_heads(counts, last=False), 0.5 * counts)
    np.testing.assert_allclose(table.of_heads(counts, last=True), 0.3 * counts)
    np.testing.assert_allclose(table.of_neurons(counts * 8, last=False), 0.08 * counts)
    np.testing.assert_allclose(table.of_neurons(counts * 8, last=True), 0.008 * counts)


def test_noise_that_makes_more_cost_less_costs_nothing():
    ms = {chain: known_ms(chain) for chain in chains(SHAPE)}
    ms[Chain(heads=2)] = ms[Chain()] - 1
    assert table_of(SHAPE, ms).of_heads(np.array([2]), last=False) == 0


def test_a_table_is_measured_once_for_a_machine_and_anew_where_it_was_spoilt(tmp_path):
    made = []

    def make():
        made.append(1)
        return table_of(SHAPE, {chain: known_ms(chain) for chain in chains(SHAPE)})

    first = kept_table(tmp_path, SHAPE, make)
    assert kept_table(tmp_path, SHAPE, make) == first
    assert len(made) == 1
    (file,) = tmp_path.iterdir()
    assert SHAPE.machine.processor in file.read_text()
    file.write_text("{")
    assert kept_table(tmp_path, SHAPE, make) == first
    other = SHAPE.model_copy(update={"precision": "int8"})
    kept_table(tmp_path, other, lambda: first.model_copy(update={"shape": other}))
    assert len(made) == 2
    assert len(list(tmp_path.iterdir())) == 2
