"""What a fine-tuning of adapters is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.core.nouns import Frozen

Target = Literal["query", "key", "value", "attention_out", "up", "down"]
_EVERY: tuple[Target, ...] = ("query", "key", "value", "attention_out", "up", "down")


class AdapterRecipe(Frozen):
    """Small matrices or vectors that are trained instead of the weights. The head is trained whole.

    Attributes:
        method: ``lora`` adds a product of two thin matrices to each target; ``dora`` trains its columns' lengths
            apart besides; ``ia3`` scales what it puts out (of ``down``: what goes in).
        rank: columns of the thin matrices; of lora and dora.
        alpha: the product is multiplied by alpha / rank; of lora and dora.
        dropout: on what goes into the thin matrices; of lora and dora.
        targets: the linear parts of each layer that get one: projections of attention (``query``, ``key``,
            ``value``, ``attention_out``) and of the feed-forward (``up``, ``down``).
    """

    method: Literal["lora", "dora", "ia3"] = "lora"
    rank: int = Field(8, ge=1, le=1024)
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[Target, ...] = Field(_EVERY, min_length=1)
