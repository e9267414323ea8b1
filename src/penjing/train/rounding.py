"""Training that sees what int8 will do: every matrix product's weights and inputs, rounded as the engine rounds them.

    w → s·clamp(round(w / s)),  s = max |w| of an output channel / largest step      weights, symmetric
    x → s·(clamp(round(x / s) + z) − z),  s, z from the range of the call              inputs, 8 bits, asymmetric
    tables of embeddings as inputs, with one range for a table

The gradient passes straight through the rounding, and is zero where a number was clamped (Jacob et al., 1712.05877,
section 3). Torch's own operators do the arithmetic.

Promise: weights stay fp32 parameters under their own names; outside of :func:`rounded` the model is the one it was, and
optimiser, states, zeros and checkpoint know nothing of it. All families and heads are rounded alike.

Trade: in OpenVINO's static kind input ranges are fixed beforehand and evened out with the weights (SmoothQuant), which
is not imitated: there the rounding learnt with is coarser than the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_INPUT_STEPS = 255
_TABLES = (functional.embedding, torch.embedding)


@contextmanager
def rounded(*, weight_bits: int) -> Iterator[None]:
    """Round what goes into linear layers and embeddings, in this thread, for as long as it lasts.

    Args:
        weight_bits: 8, or 7 for engines that leave one free (``reduce_range``).
    """
    with _Rounding(2 ** (weight_bits - 1)):
        yield


class _Rounding(TorchFunctionMode):
    """Stands before linear layers and embeddings."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if func is functional.linear:
            inputs, weights, *bias = args
            args = (round_inputs(inputs), round_channels(weights, self._steps), *bias)
        elif func in _TABLES:
            args = self._with_rounded_table(func, args)
        return func(*args, **(kwargs or {}))

    def _with_rounded_table(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
        at = 1 if func is functional.embedding else 0
        table = round_inputs(args[at])
        return (*args[:at], table, *args[at + 1 :])


def round_channels(weights: Tensor, steps: int) -> Tensor:
    """Weights (outputs, inputs) in ``steps`` on either side of zero, a scale for each output."""
    scales = _scale(weights.detach().abs().amax(dim=1) / _largest(steps))
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weights, scales, zeros, 0, -_largest(steps), _largest(steps))


def round_inputs(inputs: Tensor) -> Tensor:
    """Numbers in 256 steps from the least to the greatest of them, zero among them."""
    low, high = inputs.detach().amin().clamp(max=0), inputs.detach().amax().clamp(min=0)
    scale = _scale((high - low).float() / _INPUT_STEPS)
    zero = (-low.float() / scale).round().clamp(0, _INPUT_STEPS).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(inputs.float(), scale, zero, 0, _INPUT_STEPS).to(inputs.dtype)


def _largest(steps: int) -> int:
    """7 bits are taken from −64 to 64, as ONNX Runtime does; 8 bits from −127 to 127, as there is no 128."""
    return min(steps, 127)


def _scale(scales: Tensor) -> Tensor:
    return scales.float().clamp(min=torch.finfo(torch.float32).tiny)
