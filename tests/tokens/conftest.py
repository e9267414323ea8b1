from __future__ import annotations

import pytest

from tokens.making import KINDS, saved


@pytest.fixture(scope="session", params=sorted(KINDS))
def tokenizer_file(request, tmp_path_factory):
    """``tokenizer.json`` of each kind in turn."""
    return saved(KINDS[request.param](), tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def wordpiece_file(tmp_path_factory):
    """``tokenizer.json`` as BERT has it."""
    return saved(KINDS["wordpiece"](), tmp_path_factory.mktemp("bert"))
