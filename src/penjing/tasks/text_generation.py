"""Text generation: a text, token by token.

targets    the next token, at each place of a text, of a completion or of an assistant's answers
loss       cross-entropy over those tokens
decoding   the engine's: greedy, by beams or drawn; see :mod:`penjing.engines.generating`

NumPy only, but for the loss, which is handed torch tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the server uses this package, and has no torch
    from torch import Tensor


def loss(outputs: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy summed over the tokens that count: Σ −log softmax(outputs)[target]."""
    from torch.nn import functional

    del lengths
    return functional.cross_entropy(outputs, targets, reduction="sum")
