"""Where real labelled data lies, for tests marked ``data``; they skip where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data" / "sets"


def sets_folder() -> Path:
    """``$PENJING_DATA``, else ``../shared/data/sets`` beside the checkout. It need not exist."""
    return Path(os.environ.get("PENJING_DATA") or _BESIDE_THE_CHECKOUT)


def need_set(name: str) -> Path:
    """The folder of one data set, or skip the test."""
    folder = sets_folder() / name
    if not folder.is_dir():
        pytest.skip(f"real data set '{name}' is neither in $PENJING_DATA nor in ../shared/data/sets")
    return folder
