"""Less of a Transformers encoder (layers, neurons, tokens): an ordinary model of its class, with a smaller config."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from penjing.core.errors import CheckpointError, UsageError
from penjing.models.families import FAMILIES, encoder_parts, unknown_family

# Where a family keeps its list of layers, from the base model on, and what its config calls their number.
_LISTS = {"distilbert": ("transformer.layer", "n_layers")}
_USUAL = ("encoder.layer", "num_hidden_layers")


def layers_of(model: Any) -> nn.ModuleList:
    """The list of layers of an encoder with any head.

    Raises:
        CheckpointError: a family that is not known here.
    """
    if model.config.model_type not in FAMILIES:
        raise unknown_family(model.config.model_type)
    path, _ = _LISTS.get(model.config.model_type, _USUAL)
    found: nn.ModuleList = model.base_model.get_submodule(path)
    return found


def keep_layers(model: Any, kept: Sequence[int]) -> None:
    """Leave these layers (counted from 0) in this order and drop the others, in place.

    Raises:
        UsageError: a layer that is not there, one twice, or none.
    """
    layers = layers_of(model)
    if not kept or len(set(kept)) < len(kept) or not all(0 <= at < len(layers) for at in kept):
        raise UsageError(
            f"layers {[at + 1 for at in kept]} of a model of {len(layers)}",
            expected=f"some of 1 to {len(layers)}, each once",
        )
    path, number = _LISTS.get(model.config.model_type, _USUAL)
    owner, _, name = path.rpartition(".")
    setattr(model.base_model.get_submodule(owner), name, nn.ModuleList([layers[at] for at in kept]))
    setattr(model.config, number, len(kept))


def fresh_like(model: Any, layers: int) -> Any:
    """A model of the same class and widths with so many layers, of random weights."""
    config = deepcopy(model.config)
    setattr(config, _LISTS.get(config.model_type, _USUAL)[1], layers)
    made = type(model)(config)
    return made.eval()


def spread_layers(count: int, *, of: int) -> tuple[int, ...]:
    """``count`` of ``of`` layers (from 0), evenly spread and the first among them: layer 0 is the one that knows the
    embeddings. Source: Sanh et al., "DistilBERT", arXiv 1910.01108, §3.

    Raises:
        UsageError: more than there are.
    """
    if not 1 <= count <= of:
        raise UsageError(f"{count} layers of a model of {of}", expected=f"1 to {of}")
    return tuple(at * of // count for at in range(count))


def keep_neurons(model: Any, kept: Sequence[npt.NDArray[np.int64]]) -> None:
    """Leave these feed-forward neurons of each layer and drop the others, in place.

    Args:
        model: an encoder with any head.
        kept: for each layer, as many each: Transformers' config has one number for all.

    Raises:
        UsageError: another number of layers, or unequal numbers of neurons.
    """
    layers = encoder_parts(model).layers
    if len(kept) != len(layers) or len({len(some) for some in kept}) != 1 or len(kept[0]) == 0:
        raise UsageError(
            f"neurons kept by layer: {[len(some) for some in kept]}", expected=f"{len(layers)} equal numbers above 0"
        )
    for layer, some in zip(layers, kept, strict=True):
        rows = torch.from_numpy(some)
        up: Any = layer.up
        down: Any = layer.down
        up.weight, up.bias = nn.Parameter(up.weight[rows].detach()), nn.Parameter(up.bias[rows].detach())
        down.weight = nn.Parameter(down.weight[:, rows].detach().contiguous())
        up.out_features = down.in_features = len(some)
    setattr(
        model.config, "hidden_dim" if model.config.model_type == "distilbert" else "intermediate_size", len(kept[0])
    )


def empty_heads(model: Any, kept: Sequence[npt.NDArray[np.int64]]) -> None:
    """Set to zero all attention heads but these of each layer, in place: no config can say that they are not there.

    A head of zeros stays one in training: nothing flows through it, so no gradient reaches it.

    Raises:
        UsageError: another number of layers.
    """
    parts = encoder_parts(model)
    _refuse_other_count(kept, len(parts.layers), "heads")
    for layer, some in zip(parts.layers, kept, strict=True):
        out: Any = layer.attention_out
        size = out.weight.shape[1] // parts.heads
        gone = np.setdiff1d(np.arange(parts.heads), some)
        rows = torch.from_numpy((gone[:, None] * size + np.arange(size)).ravel())
        _empty((layer.query, layer.key, layer.value), rows, out)


def empty_neurons(model: Any, kept: Sequence[npt.NDArray[np.int64]]) -> None:
    """Set to zero all feed-forward neurons but these of each layer, which need not be equally many, in place.

    Raises:
        UsageError: another number of layers.
    """
    layers = encoder_parts(model).layers
    _refuse_other_count(kept, len(layers), "neurons")
    for layer, some in zip(layers, kept, strict=True):
        down: Any = layer.down
        gone = np.setdiff1d(np.arange(down.weight.shape[1]), some)
        _empty((layer.up,), torch.from_numpy(gone), down)


def _empty(givers: Sequence[Any], rows: torch.Tensor, taker: Any) -> None:
    with torch.no_grad():
        for giver in givers:
            giver.weight[rows] = 0
            giver.bias[rows] = 0
        taker.weight[:, rows] = 0


def _refuse_other_count(kept: Sequence[Any], layers: int, what: str) -> None:
    if len(kept) != layers:
        raise UsageError(f"{what} kept of {len(kept)} layers", expected=f"of {layers}, the model's")


def keep_tokens(model: Any, kept: npt.NDArray[np.int64]) -> None:
    """Leave these rows of the embedding table, in this order, in place; special tokens get their new numbers.

    Raises:
        CheckpointError: the padding token would get another number, on which some families count positions.
    """
    config, table = model.config, model.get_input_embeddings()
    new = {int(old): number for number, old in enumerate(kept)}
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id"):
        old = getattr(config, name, None)
        if isinstance(old, int):
            setattr(config, name, new.get(old))
    if table.padding_idx is not None and new.get(table.padding_idx) != table.padding_idx:
        raise CheckpointError(
            f"the padding token {table.padding_idx} would become {new.get(table.padding_idx)}",
            expected="a vocabulary that begins with its special tokens",
        )
    table.weight = nn.Parameter(table.weight[torch.from_numpy(kept)].detach())
    config.vocab_size = table.num_embeddings = len(kept)
