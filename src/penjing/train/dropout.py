"""Dropout of a run in the place of a checkpoint's own: in modules, and in what a family drops by calling a function."""

from __future__ import annotations

import torch

from penjing.models.decoder import PackedModel

_RATES = ("dropout", "activation_dropout", "attention_dropout")  # of modules that call the function


def set_dropout(encoder: PackedModel, dropout: float | None) -> None:
    """Set every rate of a model but those of adapters, which have their own.

    Args:
        encoder: changed in place; its config, and so what is saved, is not.
        dropout: None leaves the checkpoint's.
    """
    if dropout is None:
        return
    encoder.hidden_dropout = dropout
    for name, module in encoder.model.named_modules():
        if isinstance(module, torch.nn.Dropout) and ".lora_dropout." not in name:
            module.p = dropout
        for rate in _RATES:
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, dropout)
