"""Fewer layers of a model that writes: of a decoder, or of both sides of a translator, evenly spread."""

from __future__ import annotations

from typing import Any

from torch import nn

from penjing.models.decoder import DECODERS
from penjing.models.surgery import spread_layers

# Names that configs of these families have for their number of layers: of all, or of one side.
_NUMBERS = {
    "encoder": ("encoder_layers", "num_layers", "num_hidden_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers"),
    "all": ("num_hidden_layers", "n_layer"),
}


def keep_spread_layers(model: Any, count: int) -> None:
    """Leave ``count`` layers, of a translator on each side, in place; the first is always among them.

    Raises:
        UsageError: more than there are.
    """
    if not model.config.is_encoder_decoder:
        _keep(model.base_model, DECODERS[model.config.model_type], count, config=model.config, side="all")
        return
    for side, part in (("encoder", model.get_encoder()), ("decoder", model.get_decoder())):
        name = "block" if hasattr(part, "block") else "layers"
        _keep(part, name, count, config=model.config, side=side)


def _keep(owner: Any, name: str, count: int, *, config: Any, side: str) -> None:
    layers = getattr(owner, name)
    kept = spread_layers(count, of=len(layers))
    setattr(owner, name, nn.ModuleList([layers[at] for at in kept]))
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        config.layer_types = [kinds[at] for at in kept]
    for number in _NUMBERS[side]:
        if number in config.to_dict():
            setattr(config, number, count)
