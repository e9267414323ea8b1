"""What a quantisation is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penjing.core.nouns import Frozen


class QuantizeRecipe(Frozen):
    """Settings of ``penjing quantize``.

    Attributes:
        engine: ``auto`` goes by the processor's instruction sets (see docs/decisions/0003);
            ``measure`` makes each kind and keeps the fastest that agrees well enough.
        calibration_rows: training texts on which value ranges are taken (static quantisation) and
            agreement is measured (``measure``). The test split is never used to choose.
        max_drop: the accuracy, as a share, that may be lost on the test split; None asks for no gate.
    """

    engine: Literal["auto", "measure", "onnxruntime", "openvino"] = "auto"
    calibration_rows: int = Field(256, ge=16, le=100_000)
    max_drop: float | None = Field(0.02, ge=0, le=1)
