"""Transformers without its own notices and bars: what a user should see, the commands say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penjing.core.extras import require


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hold back Transformers' own notices and bars: that a new head is new is what was asked for."""
    logging = require("transformers", extra="train").utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
