"""The recipe of ``penjing cascade``."""

from __future__ import annotations

from pydantic import Field

from penjing.app.recipes import MeasureRecipe
from penjing.core.nouns import Frozen
from penjing.store.manifest import NAME_PATTERN


class CascadeCommand(Frozen):
    """From versions of one task to one version that asks them in turn.

    Attributes:
        name: of the cascade in the store.
        stages: versions (``name``, ``name/2`` or ``name@alias``), the cheapest first; the last answers all
            that the others are not sure of.
        agree_with: a version of the same labels and tokenizer whose answers count; None is the last stage. With an int8
            last stage, name the version that it was made from: its own slips are counted then.
        agreement: share of texts, at least, to which the cascade answers as that version alone would.
        confidence: with which that is to hold for texts like those held out.
        held_out: labelled texts that no stage was trained on, to find the thresholds by; None is the validation split
            of the last stage's data. Texts of its training and test splits are left out.
        max_drop: the accuracy, as a share, that may be lost to ``agree_with`` on the test split; None asks for no gate.
        measure: speed of the last stage, the others and the cascade through the server, in turns; None skips it.
        seed: of which held-out texts calibrate and which test.
    """

    name: str = Field(pattern=NAME_PATTERN)
    stages: tuple[str, ...] = Field(min_length=2, max_length=8)
    agree_with: str | None = None
    agreement: float = Field(0.99, gt=0.5, lt=1)
    confidence: float = Field(0.95, ge=0.5, lt=1)
    held_out: str | None = None
    max_drop: float | None = Field(None, ge=0, le=1)
    measure: MeasureRecipe | None = MeasureRecipe()
    seed: int = Field(42, ge=0, le=2**31)
