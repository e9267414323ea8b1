"""Ready means that nothing that was wanted at first is still to come, and nothing that comes later undoes it."""

from __future__ import annotations

import threading
import time

import pytest

from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.models import Models
from penjing.serve.recipe import ServeRecipe
from penjing.serve.versions import State
from penjing.store.store import Store
from serve.doubles import fresh, publish


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("it never came true")


def held(models):
    with models.hold("m") as version:
        return version.number


def test_a_model_is_not_ready_while_one_of_its_first_versions_is_still_to_come(store):
    publish(store)
    gate = threading.Event()

    def opening(bundle, recipe):
        if bundle.manifest.version == 1:
            gate.wait(10)
        return fresh(bundle, recipe)

    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None, versions={"kind": "all"}), open_with=opening)
    models.start()
    until(lambda: models.shelf("m") and models.shelf("m").available())
    assert models.why_not_ready() == {"m": "version 1 is still to be loaded"}
    assert held(models) == 2  # who asks all the same is answered
    gate.set()
    until(lambda: not models.why_not_ready())
    models.close()


def test_a_version_that_failed_is_not_waited_for(store):
    publish(store, engine=b"broken")
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None, versions={"kind": "all"}), open_with=fresh)
    models.reconcile()
    assert models.why_not_ready() == {}
    assert models.shelf("m").versions[2].state is State.END
    models.close()


def test_neither_a_later_version_nor_a_later_model_makes_a_ready_server_wait(store):
    gate = threading.Event()
    gate.set()

    def opening(bundle, recipe):
        gate.wait(10)
        return fresh(bundle, recipe)

    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=0.005), open_with=opening)
    models.start()
    until(lambda: not models.why_not_ready())
    gate.clear()
    publish(store)
    until(lambda: 2 in models.shelf("m").versions)
    assert models.why_not_ready() == {}
    assert models.why_not("m") == ""
    gate.set()
    until(lambda: held(models) == 2)
    gate.clear()
    publish(store, "later")
    until(lambda: "later" in models.names())
    assert models.why_not_ready() == {}
    assert models.why_not("later") != ""
    gate.set()
    until(lambda: not models.why_not("later"))
    models.close()
