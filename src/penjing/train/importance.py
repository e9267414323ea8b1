"""How much a loss hangs on the parts of an encoder, on a few texts of the training split.

neurons    first-order Taylor: Σ over tokens of |a · ∂L/∂a|, a the neuron's output      Molchanov et al., 1611.06440
heads      first-order Taylor: Σ over texts of |Σ a · ∂L/∂a|, a the head's context   Michel et al., 1905.10650, eq. 4
parts      Fisher: Σ over texts of (Σ a · ∂L/∂a)², heads and neurons on one scale     Kwon et al., 2204.09656, eq. 7
weights    first-order Taylor: Σ over passes of |w · ∂L/∂w|                      Molchanov et al., 1906.10771, eq. 8
layers     how much the mean loss rises without the layer: measured, since that costs one pass a layer

Both through the packed forward that trains and serves, so in the last layer only what the head reads counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import pack_flat
from penjing.train.sparsity import layer_matrices
from penjing.train.training_set import Objective, TrainingSet

_PASS_TOKENS = 4096
_NOTHING = np.finfo(np.float64).tiny


def neuron_importance(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> list[npt.NDArray[np.float64]]:
    """Of each layer, float64 (neurons,)."""
    encoder.eval()
    totals = [np.zeros(layer.down.in_features) for layer in encoder.parts.layers]  # type: ignore[arg-type]
    with _inputs_of([part.down for part in encoder.parts.layers]) as seen:
        for rows in data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS):
            loss = _loss(encoder, data, objective, rows)
            gradients = torch.autograd.grad(loss, [seen[layer] for layer in range(len(totals))])
            for layer, gradient in enumerate(gradients):
                totals[layer] += (gradient * seen[layer]).abs().sum(dim=0).detach().double().numpy()
    return totals


def head_importance(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> npt.NDArray[np.float64]:
    """float64 (layers, heads); each layer's are divided by their Euclidean length, as in the source."""
    encoder.eval()
    heads, layers = encoder.parts.heads, encoder.parts.layers
    totals = np.zeros((len(layers), heads))
    with _inputs_of([part.attention_out for part in layers]) as seen:
        for rows in data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS):
            loss, lengths = _loss(encoder, data, objective, rows), data.lengths_of(rows)
            gradients = torch.autograd.grad(loss, [seen[layer] for layer in range(len(layers))])
            for layer, gradient in enumerate(gradients):
                of_cells = (gradient * seen[layer]).view(len(gradient), heads, -1).sum(dim=2).detach().double()
                totals[layer] += _by_text(of_cells, lengths).abs().sum(dim=0).numpy()
    shares: npt.NDArray[np.float64] = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), _NOTHING)
    return shares


def part_importance(
    encoder: PackedEncoder, data: TrainingSet, objective: Objective
) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """Of heads (layers, heads), and of each layer's neurons (neurons,), so that one compares with the other."""
    encoder.eval()
    heads, layers = encoder.parts.heads, encoder.parts.layers
    of_heads = np.zeros((len(layers), heads))
    of_neurons = [np.zeros(layer.down.in_features) for layer in layers]  # type: ignore[arg-type]
    modules = [part.attention_out for part in layers] + [part.down for part in layers]
    with _inputs_of(modules) as seen:
        for rows in data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS):
            loss, lengths = _loss(encoder, data, objective, rows), data.lengths_of(rows)
            given = torch.autograd.grad(loss, [seen[at] for at in range(len(modules))])
            for at, gradient in enumerate(given):
                slope, layer = gradient * seen[at].detach(), at % len(layers)
                if at < len(layers):
                    slope = slope.view(len(slope), heads, -1).sum(dim=2)
                total = of_heads[layer] if at < len(layers) else of_neurons[layer]
                total += _by_text(slope, lengths).double().square().sum(dim=0).numpy()
    return of_heads, of_neurons


def _by_text(of_cells: Tensor, lengths: npt.NDArray[np.int64]) -> Tensor:
    """Sums over each text's cells, (texts, parts); the last layer may have one cell a text already."""
    if len(of_cells) == len(lengths):
        return of_cells
    text = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
    return of_cells.new_zeros(len(lengths), of_cells.shape[1]).index_add_(0, text, of_cells)


def weight_importance(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> list[Tensor]:
    """Of each of the layers' matrices, in their order, as :func:`penjing.train.sparsity.layer_matrices` gives them."""
    encoder.eval()
    matrices = layer_matrices(encoder)
    totals = [torch.zeros_like(weight) for weight in matrices]
    for rows in data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS // 8):
        gradients = torch.autograd.grad(_loss(encoder, data, objective, rows), matrices)
        for total, weight, gradient in zip(totals, matrices, gradients, strict=True):
            total += (weight.detach() * gradient).abs()
    return totals


def layer_importance(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> npt.NDArray[np.float64]:
    """Rise of the mean loss without each layer, float64 (layers,)."""
    encoder.eval()
    whole = encoder.parts
    losses = [_mean_loss(encoder, data, objective)]
    for left_out in range(len(whole.layers)):
        encoder.parts = replace(whole, layers=whole.layers[:left_out] + whole.layers[left_out + 1 :])
        losses.append(_mean_loss(encoder, data, objective))
    encoder.parts = whole
    return np.array(losses[1:]) - losses[0]


def _mean_loss(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> float:
    passes = data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS)
    with torch.no_grad():
        total = sum(float(_loss(encoder, data, objective, rows)) for rows in passes)
    return total / data.weight_of(np.arange(len(data.sequences)))


def _loss(encoder: PackedEncoder, data: TrainingSet, objective: Objective, rows: npt.NDArray[np.int64]) -> Tensor:
    flat = PackedTensors.of(pack_flat([data.sequences[row] for row in rows], reads=encoder.head.reads))
    return objective(encoder(flat).float(), data.targets_of(rows), flat.lengths)


@contextmanager
def _inputs_of(modules: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """What went into each module last, by its number, while the block lasts."""
    seen: dict[int, Tensor] = {}

    def note(number: int, _: Any, given: tuple[Tensor, ...]) -> None:
        seen[number] = given[0]

    hooks = [module.register_forward_pre_hook(partial(note, at)) for at, module in enumerate(modules)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
