from __future__ import annotations

import pytest

from export.making import exported
from penjing.engines import ENGINES, open_engine


@pytest.fixture(scope="session")
def bert():
    """A tiny exported BERT classifier with its reference answers."""
    return exported("bert")


@pytest.fixture(params=ENGINES)
def engine(request, bert):
    """Each engine in turn, open on the tiny BERT."""
    opened = open_engine(request.param, bert.onnx, instances=2)
    yield opened
    opened.close()
