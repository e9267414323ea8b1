from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from app.world import World, shared_world


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    return shared_world(tmp_path_factory)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """The loop sets torch's threads for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
