"""A model that several processes hold in parts: weights, gradients and moments, by torch's fully_shard (FSDP2).

Source: Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data parallel", 2304.11277.

Promise: the same model as by processes that each hold all of it, to rounding, and the same files: states and
checkpoints are whole. A layer is gathered when it is needed and let go after it.

Trade: all processes go through the layers together, so that one with fewer passes in a step makes more of them, which
count nothing. Each loads the whole model once, before it lets go of all but its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from penjing.core.errors import UsageError
from penjing.models.decoder import PackedDecoder, PackedModel
from penjing.models.families import LayerParts
from penjing.models.packed import PackedEncoder
from penjing.train.parts import whole
from penjing.train.ranks import Ranks
from penjing.train.recipe import TrainingRecipe


@contextmanager
def spread(model: PackedModel, recipe: TrainingRecipe, ranks: Ranks) -> Iterator[PackedModel]:
    """What is to be trained in a block: the model, or where the recipe says so a twin of it in parts.

    While the twin lives the model's own weights are empty; at the end it has those of the twin.

    Raises:
        UsageError: a model that writes one language from another.
    """
    if recipe.sharding == "none" or ranks.count == 1:
        yield model
        return
    twin = _twin(model)
    for weight in model.model.parameters():
        weight.data = weight.new_empty(0)
    _share_out(twin, ranks)
    yield twin
    trained = dict(twin.model.named_parameters())
    for name, weight in model.model.named_parameters():
        weight.data = whole(trained[name].detach())


def is_spread(model: nn.Module) -> bool:
    """Whether a model is in parts."""
    return isinstance(model, FSDPModule)


def _twin(model: PackedModel) -> PackedEncoder | PackedDecoder:
    if isinstance(model, PackedEncoder):
        return PackedEncoder(deepcopy(model.model), model.embedding)
    if isinstance(model, PackedDecoder):
        return PackedDecoder(deepcopy(model.model))
    raise UsageError("training.sharding: full of an encoder-decoder", expected="an encoder or a decoder")


def _share_out(model: PackedEncoder | PackedDecoder, ranks: Ranks) -> None:
    """Layer by layer; what is outside the layers together."""
    mesh = init_device_mesh("cpu", (ranks.count,))
    for unit in _layers(model):
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # each share is of the mean over the whole step: they are summed


def _layers(model: PackedEncoder | PackedDecoder) -> Sequence[nn.Module | list[nn.Module]]:
    """What is gathered at a time. An encoder's layers are walked part by part, so the parts are named."""
    if isinstance(model, PackedDecoder):
        return list(model.layers)
    return [
        [one for one in (getattr(layer, part) for part in LayerParts.__slots__) if _has_weights(one)]
        for layer in model.parts.layers
    ]


def _has_weights(part: object) -> bool:
    return isinstance(part, nn.Module) and any(True for _ in part.parameters())
