"""A look at the store that is asked for, between those of the poll."""

from __future__ import annotations

import pytest

from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.models import Models
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store
from serve.doubles import fresh, publish


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    publish(store)
    return store


def newest(models):
    with models.hold("m") as version:
        return version.number


def test_it_can_be_awaited(store):
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None), open_with=fresh)
    models.start()
    for number in (1, 2, 3):
        assert models.look_again("m").wait(10)
        assert newest(models) == number
        publish(store)
    assert models.look_again("unknown").wait(10)
    models.close()


def test_it_tries_anew_what_has_failed_for_good(store):
    faults = [RuntimeError("not yet")]

    def once_broken(bundle, recipe):
        if faults:
            raise faults.pop()
        return fresh(bundle, recipe)

    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=None, load_tries=1), open_with=once_broken)
    models.reconcile()
    models.reconcile()
    assert models.has_given_up()
    models.start()
    assert models.look_again("m").wait(10)
    assert newest(models) == 1
    models.close()


def test_many_may_ask_at_once(store):
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=0.01), open_with=fresh)
    models.start()
    assert all(done.wait(10) for done in [models.look_again("m") for _ in range(50)])
    models.close()
