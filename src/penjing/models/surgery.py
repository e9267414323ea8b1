"""Fewer layers of a Transformers encoder: the model stays an ordinary one of its class, with a smaller config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from penjing.core.errors import UsageError
from penjing.models.families import FAMILIES, unknown_family

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


def spread_layers(count: int, *, of: int) -> tuple[int, ...]:
    """``count`` of ``of`` layers (from 0), evenly spread and the first among them: layer 0 is the one that knows the
    embeddings. Source: Sanh et al., "DistilBERT", arXiv 1910.01108, §3.

    Raises:
        UsageError: more than there are.
    """
    if not 1 <= count <= of:
        raise UsageError(f"{count} layers of a model of {of}", expected=f"1 to {of}")
    return tuple(at * of // count for at in range(count))
