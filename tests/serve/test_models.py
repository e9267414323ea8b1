"""Versions come, stay and go as TensorFlow Serving's do, and a swap never leaves a gap."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest

from penjing.core.errors import ModelNotFoundError, NotReadyError, StoreError
from penjing.serve.catalogue import FolderCatalogue, StoreCatalogue
from penjing.serve.models import Models
from penjing.serve.recipe import ServeRecipe
from penjing.serve.versions import State
from penjing.store.store import Store
from serve.doubles import LABELS, FakeEngine, fresh, publish


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


@contextmanager
def models_of(store, *, open_with=fresh, **told):
    models = Models(StoreCatalogue(store), ServeRecipe.model_validate({"poll_s": None} | told), open_with=open_with)
    try:
        models.reconcile()
        yield models
    finally:
        models.close()


def states(models, model="m"):
    return {number: version.state for number, version in models.shelf(model).versions.items()}


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("it never came true")


def held(models, ref=None):
    with models.hold("m", ref) as version:
        return version.number


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ({}, {3}),
        ({"count": 2}, {2, 3}),
        ({"kind": "all"}, {1, 2, 3}),
        ({"kind": "specific", "specific": [1, 7]}, {1}),
    ],
)
def test_policies(store, policy, served):
    publish(store)
    publish(store)
    with models_of(store, versions=policy) as models:
        assert set(states(models)) == served
        assert held(models) == max(served)


def test_a_new_version_replaces_the_old_one(store):
    with models_of(store) as models:
        first = models.shelf("m").versions[1].servable.lane.engine
        publish(store)
        models.reconcile()
        until(lambda: states(models) == {1: State.END, 2: State.AVAILABLE})
        assert first.is_closed
        with pytest.raises(NotReadyError):
            held(models, 1)


def test_the_old_version_stays_until_its_requests_are_done(store):
    with models_of(store) as models, models.hold("m") as old:
        publish(store)
        models.reconcile()
        until(lambda: states(models)[1] is State.UNLOADING)
        assert held(models) == 2
        assert not old.servable.lane.engine.is_closed
    assert old.state is State.END


def test_a_version_that_fails_leaves_the_old_one_serving_and_says_why(store):
    with models_of(store, load_tries=2, load_retry_s=0) as models:
        publish(store, engine=b"broken")
        models.reconcile()
        assert states(models) == {1: State.AVAILABLE, 2: State.END}
        assert "the file is broken" in str(models.shelf("m").versions[2].error)
        assert held(models) == 1
        for _ in range(5):
            models.reconcile()
        assert models.shelf("m").versions[2].tries == 2
        assert models.why_not_ready() == {}


def test_a_version_that_fails_leaves_the_newest_good_one_beside_a_labelled_older_one(store):
    store.aliases.set("m", "stable", version=1)
    publish(store)
    with models_of(store, load_tries=1) as models:
        publish(store, engine=b"broken")
        models.reconcile()
        models.reconcile()
        assert states(models) == {1: State.AVAILABLE, 2: State.AVAILABLE, 3: State.END}
        assert (held(models), held(models, "stable")) == (2, 1)
        publish(store)
        models.reconcile()
        until(lambda: states(models)[2] is State.END)
        assert (held(models), held(models, "stable")) == (4, 1)


def test_a_corrupted_version_is_not_served(store):
    bundle = publish(store)
    (bundle.path / "engine" / "model.onnx").write_bytes(b"FAKE")
    with models_of(store) as models:
        assert "has changed" in str(models.shelf("m").versions[2].error)
        assert "has changed" in models.why_not_ready()["m"]
        with pytest.raises(NotReadyError):
            held(models)


def test_outputs_that_do_not_fit_the_labels_are_not_served(store):
    with models_of(store, open_with=lambda _bundle, _recipe: FakeEngine(outputs=len(LABELS) + 1)) as models:
        assert "(1, 4)" in str(models.shelf("m").versions[1].error)


def test_labels_follow_aliases_once_the_version_is_there(store):
    store.aliases.set("m", "stable", version=1)
    with models_of(store) as models:
        publish(store, engine=b"broken")
        publish(store)
        models.reconcile()
        assert held(models, "stable") == 1
        assert held(models) == 3
        store.aliases.set("m", "stable", version=2)
        models.reconcile()
        assert held(models, "stable") == 1  # version 2 cannot be loaded: the label stays
        store.aliases.set("m", "stable", version=3)
        models.reconcile()
        assert held(models, "stable") == 3
        until(lambda: states(models)[1] is State.END)
        with pytest.raises(ModelNotFoundError):
            held(models, "canary")


def test_a_labelled_version_that_was_unloaded_comes_back(store):
    with models_of(store) as models:
        publish(store)
        models.reconcile()
        until(lambda: states(models)[1] is State.END)
        store.aliases.set("m", "stable", version=1)
        models.reconcile()
        assert held(models, "stable") == 1


def test_labels_of_the_recipe_come_on_top(store):
    publish(store)
    with models_of(store, labels={"m": {"old": 1}}) as models:
        assert held(models, "old") == 1


def test_unknown_names(store):
    with models_of(store) as models:
        with pytest.raises(ModelNotFoundError, match="unknown"), models.hold("x"):
            pass
        with pytest.raises(ModelNotFoundError, match="version 9"):
            held(models, 9)


def test_a_configured_model_that_is_not_there_is_not_ready(store):
    with models_of(store, models=["m", "x"]) as models:
        assert list(models.why_not_ready()) == ["x"]
        with pytest.raises(NotReadyError), models.hold("x"):
            pass


def test_an_empty_store_is_not_ready(tmp_path):
    with models_of(Store(tmp_path)) as models:
        assert models.why_not_ready()
        assert models.names() == []


def test_a_store_that_fails_changes_nothing(store):
    class Failing(StoreCatalogue):
        is_broken = False

        def models(self):
            if self.is_broken:
                raise StoreError("the disk is gone")
            return super().models()

        def versions(self, model):
            return super().versions(model) if not self.is_broken else []

    catalogue = Failing(store)
    models = Models(catalogue, ServeRecipe(poll_s=None), open_with=fresh)
    models.reconcile()
    catalogue.is_broken = True
    models.reconcile()
    assert held(models) == 1
    catalogue.models = lambda: ["m"]
    models.reconcile()
    assert held(models) == 1
    models.close()


def test_polling_finds_versions_and_models(store):
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=0.01), open_with=fresh)
    models.start()
    until(lambda: not models.why_not_ready())
    publish(store)
    publish(store, "other")
    until(lambda: models.names() == ["m", "other"] and not models.why_not_ready() and held(models) == 2)
    models.close()


def test_swaps_under_use_never_leave_a_gap(store):
    models = Models(StoreCatalogue(store), ServeRecipe(poll_s=0.01), open_with=fresh)
    models.start()
    until(lambda: not models.why_not_ready())
    stop, seen, faults = threading.Event(), set(), []

    def use():
        while not stop.is_set():
            try:
                with models.hold("m") as version:
                    assert not version.servable.lane.engine.is_closed
                    seen.add(version.number)
            except Exception as error:  # noqa: BLE001
                faults.append(error)

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    for number in (2, 3, 4):
        publish(store)
        until(lambda number=number: number in seen)
    stop.set()
    for user in users:
        user.join()
    models.close()
    assert not faults


def test_a_model_whose_turn_has_not_come_is_not_ready(store):
    publish(store, "z")
    gate, catalogue = threading.Event(), StoreCatalogue(store)

    class Slow(StoreCatalogue):
        def versions(self, model):
            return catalogue.versions(model) if model == "m" or gate.wait(10) else []

    models = Models(Slow(store), ServeRecipe(poll_s=None), open_with=fresh)
    models.start()
    until(lambda: models.shelf("m") and models.shelf("m").available())
    assert models.why_not_ready() == {"z": "no version of it has been found yet"}
    with pytest.raises(NotReadyError):
        models.enter("z")
    gate.set()
    until(lambda: not models.why_not_ready())
    models.close()


def test_plain_directories(store, tmp_path):
    publish(store)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (store.root / "m" / "2").rename(folder / "00000002")
    catalogue = FolderCatalogue({"m": folder})
    models = Models(catalogue, ServeRecipe(poll_s=None), open_with=fresh)
    models.reconcile()
    assert held(models, 2) == 2
    assert catalogue.labels("m") == {}
    models.close()


def test_warm_up_runs_each_usual_width(store):
    engine = FakeEngine(instances=2)
    with models_of(store, open_with=lambda _bundle, _recipe: engine, batch_tokens=64) as models:
        assert engine.batches == [1, 1, 4, 4]  # the one width up to 16 tokens, then a full batch; each per instance
        assert models.all()[0].tries == 1


def test_engine_arguments_pass_through(store):
    publish(store, engine=json.dumps({"instances": 1}).encode())
    with models_of(store) as models:
        assert models.shelf("m").versions[2].servable.lane.engine.instances == 1
