"""How far the outputs of two forms of a model lie apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penjing.core.errors import ParityError
from penjing.export.onnx_export import TOLERANCE


def share_of_scale(
    given: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32], *, whose: str, tolerance: float = TOLERANCE
) -> float:
    """The largest difference as a share of the largest wanted output.

    Raises:
        ParityError: it exceeds ``tolerance`` or is not a number, or the outputs are not as many.
    """
    if given.shape != wanted.shape:
        raise ParityError(f"{whose} gives outputs of shape {given.shape}", expected=f"{wanted.shape}")
    scale = max(float(np.abs(wanted).max()), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(given - wanted).max()) / scale
    if not difference <= tolerance:
        raise ParityError(
            f"{whose} differs from Transformers by {difference:.2g} of the outputs' scale",
            expected=f"at most {tolerance:.0e}",
            do="Do not serve this; report the checkpoint's family and settings.",
        )
    return difference
