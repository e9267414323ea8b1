"""How one tensor of θ_t is written down, given the base's: exactly, or in a few bits.

*ulps*: weights of one sign are ordered as their bits are, so the difference of the bits counts the numbers that lie
between two weights. A fine-tuned weight has moved by few of them in its upper bytes: byte planes of the zigzag of
that difference deflate well, and give every bit back, NaN and −0 included.

*int8*, *int4*: the difference of each row in steps of a 127th (a 7th) of its largest. *sign*: its signs, times the
mean size of the row's differences. Source of the last: Liu et al., "BitDelta", arXiv 2402.10193, equation 3.
"""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penjing.core.errors import CheckpointError

LowBit = Literal["int8", "int4", "sign"]
_INTS = {
    torch.float32: (torch.int32, np.uint32),
    torch.float64: (torch.int64, np.uint64),
    torch.float16: (torch.int16, np.uint16),
    torch.bfloat16: (torch.int16, np.uint16),
}
_STEPS = {"int8": 127, "int4": 7}
_FAST = 1  # zlib's level: higher ones gain little on planes of noise and take several times as long


def has_ulps(tensor: Tensor) -> bool:
    """Whether its numbers are of a kind that has steps to count."""
    return tensor.dtype in _INTS


def to_ulps(tuned: Tensor, base: Tensor) -> Tensor:
    """The exact difference, as deflated bytes: uint8 (bytes,)."""
    steps = _bits(tuned) - _bits(base)  # wraps around, and back again when it is added
    sign = np.where(steps >> (steps.itemsize * 8 - 1), ~steps.dtype.type(0), steps.dtype.type(0))
    zigzag = (steps << 1) ^ sign
    planes = np.ascontiguousarray(zigzag.view(np.uint8).reshape(-1, steps.itemsize).T)
    return torch.from_numpy(np.frombuffer(zlib.compress(planes.tobytes(), _FAST), np.uint8).copy())


def from_ulps(coded: Tensor, base: Tensor, *, back: bool = False) -> Tensor:
    """θ_t from the base's tensor; with ``back`` the base's from that of θ_t.

    Raises:
        CheckpointError: the bytes are not of a tensor of this shape.
    """
    bits = _bits(base)
    planes = np.frombuffer(_inflate(coded, size=bits.nbytes), np.uint8).reshape(bits.itemsize, -1)
    zigzag = np.ascontiguousarray(planes.T).reshape(-1).view(bits.dtype)
    one = bits.dtype.type(1)
    steps = (zigzag >> one) ^ np.where(zigzag & one, ~bits.dtype.type(0), bits.dtype.type(0))
    there = bits - steps if back else bits + steps
    signed = np.dtype(f"i{bits.itemsize}")
    return torch.from_numpy(there.view(signed).copy()).view(base.dtype).reshape(base.shape)


def to_low_bit(difference: Tensor, form: LowBit) -> tuple[Tensor, Tensor]:
    """A float32 matrix (rows, columns) as codes, uint8 (bytes,), and scales, float32 (rows, 1)."""
    if form == "sign":
        bits = np.packbits((difference > 0).reshape(-1).numpy())
        return torch.from_numpy(bits), difference.abs().mean(dim=1, keepdim=True)
    steps = _STEPS[form]
    scale = difference.abs().amax(dim=1, keepdim=True) / steps
    codes = torch.where(scale > 0, difference / scale, 0).round().clamp(-steps, steps).to(torch.int8)
    if form == "int8":
        return codes.reshape(-1).view(torch.uint8), scale
    return _nibbles((codes + 8).to(torch.uint8).reshape(-1)), scale


def from_low_bit(codes: Tensor, scale: Tensor, form: LowBit, *, shape: tuple[int, ...]) -> Tensor:
    """The difference (rows, columns), float32, that codes and scales stand for.

    Raises:
        CheckpointError: there are not as many codes or scales as the shape needs.
    """
    rows, count = shape[0], int(np.prod(shape))
    per_byte = {"int8": 1, "int4": 2, "sign": 8}[form]
    if codes.dtype is not torch.uint8 or len(codes) != -(-count // per_byte) or scale.shape != (rows, 1):
        raise CheckpointError(f"{len(codes)} bytes of codes", expected=f"{form} codes of a tensor of shape {shape}")
    if form == "sign":
        up = np.unpackbits(codes.numpy(), count=count).astype(np.float32)
        numbers = torch.from_numpy(up * 2 - 1)
    elif form == "int8":
        numbers = codes.view(torch.int8).float()
    else:
        numbers = torch.stack([codes & 15, codes >> 4], dim=1).reshape(-1)[:count].float() - 8
    return numbers.reshape(rows, -1) * scale


def _nibbles(codes: Tensor) -> Tensor:
    even = torch.nn.functional.pad(codes, (0, len(codes) % 2))
    return even[0::2] | (even[1::2] << 4)


def _bits(tensor: Tensor) -> npt.NDArray[Any]:
    signed, unsigned = _INTS[tensor.dtype]
    return np.asarray(tensor.contiguous().reshape(-1).view(signed).numpy()).view(unsigned)


def _inflate(coded: Tensor, *, size: int) -> bytes:
    """The bytes that were deflated; never more than ``size`` are made."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(coded.numpy().tobytes(), size + 1)
    except (zlib.error, TypeError) as error:
        raise CheckpointError(f"a difference that does not inflate ({error})", expected="a whole delta") from error
    if len(found) != size or not inflater.eof:
        raise CheckpointError(f"a difference of {len(found)} bytes", expected=f"{size} bytes, those of its tensor")
    return found
