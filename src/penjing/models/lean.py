"""What zeros made dead is not computed: attention heads and feed-forward neurons that give nothing are left out.

Transformers' classes have one number of heads and of neurons for all layers, so a pruned checkpoint keeps its shape,
with zeros where a head or a neuron was (docs/decisions/0017). Promise: the walk without them gives the same outputs,
and each layer is as wide as what lives in it. A layer of which nothing lives costs two norms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from penjing.models.families import EncoderParts, LayerParts


def lean_parts(parts: EncoderParts) -> EncoderParts:
    """The same encoder without what is dead. For export: what it shares with the model it does not train."""
    return replace(parts, layers=tuple(_lean(layer, parts.heads) for layer in parts.layers))


def living_heads(layer: LayerParts, heads: int) -> Tensor:
    """Bool (heads,): whose values, and whose columns of the output product, are not all zero."""
    value, out = _of_linear(layer.value), _of_linear(layer.attention_out)
    given = (value.weight.view(heads, -1) != 0).any(dim=1) | (value.bias.view(heads, -1) != 0).any(dim=1)
    taken = (out.weight != 0).any(dim=0).view(heads, -1).any(dim=1)
    alive: Tensor = given & taken
    return alive


def living_neurons(layer: LayerParts) -> Tensor:
    """Bool (neurons,): that can give another number than zero, and whose column of the second product is not zero."""
    up, down = _of_linear(layer.up), _of_linear(layer.down)
    given = (up.weight != 0).any(dim=1) | (layer.activation(up.bias) != 0)
    alive: Tensor = given & (down.weight != 0).any(dim=0)
    return alive


def _lean(layer: LayerParts, heads: int) -> LayerParts:
    return _lean_feed_forward(_lean_attention(layer, heads))


def _lean_attention(layer: LayerParts, heads: int) -> LayerParts:
    alive = living_heads(layer, heads)
    if bool(alive.all()):
        return layer
    out = _of_linear(layer.attention_out)
    if not bool(alive.any()):
        nothing = nn.Identity()
        return replace(layer, kept=(), key=nothing, value=nothing, attention_out=_Constant(out.bias))
    rows = alive.repeat_interleave(out.weight.shape[1] // heads).nonzero()[:, 0]
    return replace(
        layer,
        kept=tuple(alive.nonzero()[:, 0].tolist()),
        query=_rows(layer.query, rows),
        key=_rows(layer.key, rows),
        value=_rows(layer.value, rows),
        attention_out=_columns(out, rows),
    )


def _lean_feed_forward(layer: LayerParts) -> LayerParts:
    alive = living_neurons(layer)
    if bool(alive.all()):
        return layer
    if not bool(alive.any()):
        same: Callable[[Tensor], Tensor] = nn.Identity()
        return replace(layer, up=nn.Identity(), activation=same, down=_Constant(_of_linear(layer.down).bias))
    rows = alive.nonzero()[:, 0]
    return replace(layer, up=_rows(layer.up, rows), down=_columns(layer.down, rows))


class _Constant(nn.Module):
    """A product of which nothing but its bias is left."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, given: Tensor) -> Any:
        """(hidden,), to be added to every cell."""
        del given
        return self.bias


def _rows(linear: nn.Module, rows: Tensor) -> nn.Linear:
    given = _of_linear(linear)
    return _linear(given.weight[rows], given.bias[rows])


def _columns(linear: nn.Module, columns: Tensor) -> nn.Linear:
    given = _of_linear(linear)
    return _linear(given.weight[:, columns], given.bias)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype, device="meta")
    made.weight, made.bias = nn.Parameter(weight.detach().contiguous()), nn.Parameter(bias.detach().clone())
    return made


def _of_linear(module: nn.Module) -> Any:
    """Weight and bias are there in every family; an adapter around them is seen through."""
    base = getattr(module, "base_layer", module)
    return base if isinstance(base, nn.Linear) else module
