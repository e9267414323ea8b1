"""What a quantisation is told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.core.nouns import Frozen


class RestoreRecipe(Frozen):
    """Accuracy control: the layers that int8 spoils most go back to fp32 until enough of the accuracy is kept.

    Attributes:
        max_drop: the accuracy (F1, …), as a share, that may be lost on held-out data, by the lower end of the
            difference's interval; None is the gate's own (``quantize.max_drop``).
        held_out: labelled texts to judge on; None is the validation split. The test split is never used to choose.
        against: the version from which the loss is counted; None is the one that is quantised.
    """

    max_drop: float | None = Field(None, ge=0, le=1)
    held_out: str | None = None
    against: str | None = None


class QuantizeRecipe(Frozen):
    """Settings of ``penjing quantize``.

    Attributes:
        engine: ``auto`` goes by the processor's instruction sets (see docs/decisions/0003);
            ``measure`` makes each kind and keeps the fastest that agrees well enough.
        calibration_rows: training texts on which value ranges are taken (static quantisation),
            agreement is measured (``measure``) and layers are ranked (``restore``). The test split is never used to
            choose.
        max_drop: the accuracy, as a share, that may be lost on the test split; None asks for no gate.
        restore: return layers to fp32 until a promise holds on held-out data; None leaves all in int8.
    """

    engine: Literal["auto", "measure", "onnxruntime", "openvino"] = "auto"
    calibration_rows: int = Field(256, ge=16, le=100_000)
    max_drop: float | None = Field(0.02, ge=0, le=1)
    restore: RestoreRecipe | None = None

    @model_validator(mode="after")
    def _a_drop_is_told(self) -> Self:
        if self.restore is not None and self.restored_drop is None:
            raise ValueError("restore needs to know what may be lost: set restore.max_drop or max_drop")
        return self

    @property
    def restored_drop(self) -> float | None:
        """What may be lost on held-out data; None where nothing is restored, or nothing is said."""
        if self.restore is None:
            return None
        return self.max_drop if self.restore.max_drop is None else self.restore.max_drop
