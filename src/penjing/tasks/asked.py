"""Texts made ready for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.tokens import Encoding, Text
from penjing.tokens.windows import Window


@dataclass(frozen=True, slots=True)
class Asked:
    """Texts made ready for a model.

    Attributes:
        texts: as they came.
        sequences: their token ids; a long text may have several.
        windows: of each text; None where each is one sequence.
    """

    texts: Sequence[Text]
    sequences: list[Encoding]
    windows: list[list[Window]] | None = None
