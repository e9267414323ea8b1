"""What is to be served, changed while the models are up."""

from __future__ import annotations

import time

import pytest

from penjing.core.errors import ModelNotFoundError, NotFoundError, NotReadyError
from penjing.serve import FolderCatalogue, ServeRecipe, StoreCatalogue, VersionPolicy
from penjing.serve.models import Models
from penjing.serve.versions import State
from penjing.serve.wishes import Wishes
from penjing.store.store import Store
from serve.doubles import fresh, publish


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for model in ("m", "m", "n"):
        publish(store, model)
    store.aliases.set("m", "stable", version=1)
    return store


@pytest.fixture
def models(store):
    recipe = ServeRecipe(poll_s=None, labels={"n": {"only": 1}})
    models = Models(StoreCatalogue(store), recipe, open_with=fresh)
    models.start()
    assert models.look_again().wait(10)
    yield models
    models.close()


def serve(models, *names, **told):
    wishes = Wishes(names, VersionPolicy(labelled=False), is_complete=True, **told)
    assert models.serve(wishes).wait(10)


def available(models):
    def told():
        return {(one.model, one.number) for one in models.all() if one.state is State.AVAILABLE}

    until = time.monotonic() + 5
    while any(one.state is State.UNLOADING for one in models.all()) and time.monotonic() < until:
        time.sleep(0.005)
    return told()


def test_a_recipe_is_the_first_wish(models):
    assert available(models) == {("m", 1), ("m", 2), ("n", 1)}
    assert models.names() == ["m", "n"]
    with models.hold("n", "only"), models.hold("m", "stable") as version:
        assert version.number == 1


def test_models_that_are_not_named_go_and_come_back(models):
    serve(models, "n")
    assert (available(models), models.names()) == ({("n", 1)}, ["n"])
    assert not models.why_not_ready()
    with pytest.raises(NotReadyError):
        models.enter("m")
    with pytest.raises(ModelNotFoundError):
        models.enter("m", "stable")
    serve(models, "m", "n")
    assert available(models) == {("m", 2), ("n", 1)}


def test_policies_and_labels_by_model(models):
    serve(models, "m", policies={"m": VersionPolicy(kind="specific", specific=(1,))}, labels={"m": {"old": 1}})
    assert available(models) == {("m", 1)}
    with models.hold("m", "old") as version:
        assert version.number == 1
    with pytest.raises(NotReadyError):
        models.enter("m", 2)


def test_a_model_in_use_leaves_only_after_its_users(models):
    with models.hold("m") as version:
        serve(models, "n")
        assert version.state is State.UNLOADING
        assert not version.servable.lane.engine.is_closed
    assert available(models) == {("n", 1)}


def test_nothing_at_all(models):
    serve(models)
    assert (available(models), models.names()) == (set(), [])
    assert models.why_not_ready() == {"": "no model has been found yet"}


def test_a_wished_model_that_fails_is_given_up_and_one_that_is_no_longer_wished_is_not(models, store):
    publish(store, "broken", engine=b"broken")
    assert models.look_again().wait(10)
    assert models.has_given_up()
    serve(models, "n")
    assert not models.has_given_up()


def test_where_models_lie(store, tmp_path):
    assert StoreCatalogue(store).folder("m") == tmp_path / "m"
    folders = FolderCatalogue({"m": tmp_path / "m"})
    assert folders.folder("m") == tmp_path / "m"
    with pytest.raises(NotFoundError):
        folders.folder("x")
