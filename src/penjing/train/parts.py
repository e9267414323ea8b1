"""Tensors that several processes hold in parts, and the same tensors whole. A tensor that is whole stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. Where it is in parts every process must ask, and each gets it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_of(named: Mapping[str, Tensor], *, kept: bool = True) -> dict[str, Tensor]:
    """All of some tensors, or none where they are not ``kept``: one after another, so that no other needs the room."""
    found = {}
    for name, tensor in named.items():
        one = whole(tensor)
        if kept:
            found[name] = one
    return found


def like(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor in the parts that a weight of its shape is in. Every process must ask with the same one."""
    if not isinstance(weight, DTensor) or isinstance(tensor, DTensor) or tensor.shape != weight.shape:
        return tensor
    return distribute_tensor(tensor, weight.device_mesh, weight.placements)


def put_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Make these weights, whole or in parts, the model's; others of its weights stay."""
    own = dict(model.named_parameters())
    model.load_state_dict({name: like(value, own[name]) for name, value in weights.items()}, strict=False)
