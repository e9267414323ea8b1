"""How much a loss hangs on the parts of an encoder, on a few texts of the training split.

neurons    first-order Taylor: Σ over tokens of |a · ∂L/∂a|, a the neuron's output      Molchanov et al., 1611.06440
layers     how much the mean loss rises without the layer: measured, since that costs one pass a layer

Both through the packed forward that trains and serves, so in the last layer only what the head reads counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import pack_flat
from penjing.train.training_set import Objective, TrainingSet

_PASS_TOKENS = 4096


def neuron_importance(encoder: PackedEncoder, data: TrainingSet, objective: Objective) -> list[npt.NDArray[np.float64]]:
    """Of each layer, float64 (neurons,)."""
    encoder.eval()
    totals = [np.zeros(layer.down.in_features) for layer in encoder.parts.layers]  # type: ignore[arg-type]
    with _inputs_of_down(encoder) as seen:
        for rows in data.all_passes(batch_size=1, pass_tokens=_PASS_TOKENS):
            seen.clear()
            loss = _loss(encoder, data, objective, rows)
            gradients = torch.autograd.grad(loss, [seen[layer] for layer in range(len(totals))])
            for layer, gradient in enumerate(gradients):
                totals[layer] += (gradient * seen[layer]).abs().sum(dim=0).detach().double().numpy()
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
def _inputs_of_down(encoder: PackedEncoder) -> Iterator[dict[int, Tensor]]:
    """What goes into each layer's second feed-forward product, by layer, while the block lasts."""
    seen: dict[int, Tensor] = {}

    def note(layer: int, _: Any, given: tuple[Tensor, ...]) -> None:
        seen[layer] = given[0]

    hooks = [part.down.register_forward_pre_hook(partial(note, at)) for at, part in enumerate(encoder.parts.layers)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
