"""Hub names: told soon where the hub is away or silent, and answered from the cache where they can be."""

from __future__ import annotations

import shutil
import socket
import time

import huggingface_hub
import pytest

from app.world import shared_world
from penjing.core.errors import ResourceError
from penjing.models.checkpoint import find_checkpoint

NAME = "somebody/something"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub at a port, and an empty cache."""

    def at(port):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("penjing.models.checkpoint._HUB_ANSWERS_WITHIN_S", 0.5)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        at(listener.getsockname()[1])
        yield listener


def refused():
    began = time.monotonic()
    with pytest.raises(ResourceError) as told:
        find_checkpoint(NAME)
    assert time.monotonic() - began < 20
    assert str(told.value).startswith(f"model '{NAME}' could not be fetched from the hub: ")
    assert "expected a hub name that is reachable or already cached. Give a local directory" in str(told.value)
    assert "\n" not in str(told.value)


def test_without_a_network_it_fails_at_once(hub):
    refused()


def test_a_hub_that_never_answers_is_not_waited_for(hub):
    hub.listen()
    refused()


def test_what_is_cached_needs_no_hub(hub, tmp_path, tmp_path_factory):
    home = tmp_path / "cache" / "models--somebody--something"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(SHA)
    shutil.copytree(shared_world(tmp_path_factory).checkpoint, home / "snapshots" / SHA)
    found = find_checkpoint(NAME)
    assert found.source == NAME
    assert found.path == home / "snapshots" / SHA


def test_a_name_that_no_hub_could_have_is_told():
    with pytest.raises(ResourceError, match=r"model 'spaces are/not allowed' could not be fetched"):
        find_checkpoint("spaces are/not allowed")
