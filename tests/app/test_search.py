"""A search tries, gives up, survives what fails and what kills it, and writes the recipe of the best."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import penjing as package
from app.calling import penjing, settings
from app.world import QUICK
from penjing.app.search_recipe import SearchRecipe
from penjing.core.errors import UsageError
from penjing.core.recipe import resolve_recipe
from penjing.evaluate.search_page import TrialPoint, search_page

SPACE = {
    "training.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "training.batch_size": {"choices": [32, 64]},
}


def written(path: Path, world, *, space=SPACE, **search) -> Path:
    """A recipe file for the tiny world."""
    told = {
        "name": "topics",
        "model": str(world.checkpoint),
        "data": {"train": str(world.train), "test": str(world.test), "validation_fraction": 0.2},
        "search": {"space": space, "minutes": None, "startup": 2} | search,
    }
    path.write_text(yaml.safe_dump(told, allow_unicode=True))
    return path


def command(recipe: Path, to: Path, *more: object) -> list[object]:
    return ["search", "--recipe", recipe, "--to", to, "--json", *settings(*QUICK, "training.epochs=4"), *more]


def rows(to: Path):
    return json.loads((to / "trials.json").read_text())


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    """A search of five trials: (its folder, how it ended, its recipe)."""
    folder = tmp_path_factory.mktemp("search")
    recipe = written(folder / "search.yaml", world, trials=5)
    return folder / "found", penjing(*command(recipe, folder / "found")), recipe


def test_the_best_trial_is_written_as_a_recipe_for_finetune(done):
    to, ran, _ = done
    assert ran.status == 0, ran.err
    tried = rows(to)
    ended = [row for row in tried if row["ended"] == "done"]
    assert len(tried) == ran.json["trials"] == 5
    assert ran.json["value"] == max(row["value"] for row in ended)
    best = resolve_recipe(package.FinetuneRecipe, to / "best.yaml")
    assert best.training.learning_rate == ran.json["best"]["training.learning_rate"]
    assert best.training.validate_every is None, "looks are the search's own"
    assert ran.json["metric"] == "accuracy"
    assert not list(to.glob("runs/*")), "nothing is left of the runs"
    assert "Trial 5: " in ran.err


def test_the_page_stands_alone_and_shows_every_trial(done):
    page = (done[0] / "search.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<tr>") == 6
    assert page.count("<figure>") == 3


def test_more_trials_go_on_where_it_ended_and_another_search_is_refused(done, world, tmp_path):
    to, _, recipe = done
    before = rows(to)
    ran = penjing(*command(recipe, to, "--trials", 6))
    assert ran.status == 0, ran.err
    assert rows(to)[:5] == before
    assert len(rows(to)) == 6
    ran = penjing(*command(recipe, to, *settings("seed=7")))
    assert ran.status == 2
    assert "holds the trials of another search" in ran.err


def test_trials_that_fail_are_told_and_the_search_goes_on(world, tmp_path):
    recipe = written(
        tmp_path / "search.yaml",
        world,
        space={
            "training.frozen_layers": {"choices": [0, 9]},
            "training.epochs": {"low": 0.5, "high": 1.5, "step": 0.5},
        },
        trials=6,
    )
    ran = penjing(*command(recipe, tmp_path / "to"))
    assert ran.status == 0, ran.err
    failed = [row for row in rows(tmp_path / "to") if row["ended"] == "failed"]
    assert failed
    assert all("frozen_layers is 9" in row["reason"] for row in failed)
    assert ran.json["best"]["training.frozen_layers"] == 0


def test_a_search_in_vain_says_why(world, tmp_path):
    recipe = written(tmp_path / "search.yaml", world, space={"training.frozen_layers": {"choices": [8, 9]}}, trials=9)
    ran = penjing(*command(recipe, tmp_path / "to"))
    assert ran.status == 2
    assert "no trial of 5 came to its end; the first: frozen_layers is" in ran.err


def test_killed_it_goes_on_with_the_trial_that_was_under_way(world, tmp_path):
    recipe = written(tmp_path / "search.yaml", world, trials=2)
    to, told = tmp_path / "to", settings("training.epochs=12", "training.save_every_s=0")
    line = [sys.executable, "-m", "penjing", *map(str, command(recipe, to, *told))]
    process = subprocess.Popen(
        line, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not list(to.glob("runs/*/step-*")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    ran = penjing(*command(recipe, to, *told))
    assert ran.status == 0, ran.err
    assert "Resuming at step" in ran.err
    assert len(rows(to)) == 2
    assert {row["ended"] for row in rows(to)} <= {"done", "given up"}


def test_a_budget_that_is_spent_ends_the_search(world, tmp_path):
    recipe = written(tmp_path / "search.yaml", world, trials=50, minutes=0.001)
    found = package.search(resolve_recipe(SearchRecipe, recipe, [*QUICK, "training.epochs=1"]), to=tmp_path / "to")
    assert len(found.rows) == 1, "one trial is always brought to its end"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"training.learning_rate": {"low": 1e-3, "high": 1e-5}}, "low must be below high"),
        ({"training.learning_rate": {"low": 0.1, "high": 7}}, "less than or equal to 1"),
        ({"training.learning_rate": {"low": 0, "high": 1, "log": True}}, "log wants low above 0"),
        ({"training.batch_size": {"choices": [16, 0]}}, "greater than or equal to 1"),
        ({"training.precision": {"choices": ["fp32"]}}, "training.precision"),
        ({"training.batch_size": {"choices": []}}, "at least 1"),
        ({}, "at least 1"),
    ],
)
def test_spaces_that_cannot_be_are_refused_before_anything_runs(world, tmp_path, space, told):
    recipe = written(tmp_path / "search.yaml", world, space=space)
    with pytest.raises(UsageError, match=told):
        resolve_recipe(SearchRecipe, recipe)


def test_keys_of_a_section_that_is_off_switch_it_on(world, tmp_path):
    recipe = written(tmp_path / "search.yaml", world, space={"training.delta.rank": {"low": 2, "high": 8}})
    told = resolve_recipe(SearchRecipe, recipe)
    assert told.with_values({"training.delta.rank": 4}).training.delta.rank == 4
    assert told.fixed.training.delta is None


def test_a_page_of_odd_trials_can_be_drawn():
    """One value alone, none at all, values of several kinds, and names in another script."""
    points = [
        TrialPoint(1, "done", 0.5, 1.0, {"a": None, "<b>": "中文", "c": 1e-5}),
        TrialPoint(2, "failed", None, 1.0, {"a": True, "<b>": "x", "c": 1.0}),
        TrialPoint(3, "done", 0.5, 1.0, {"a": 3, "<b>": "x", "c": 1.0}),
    ]
    page = search_page(points, title="<话题>", metric="accuracy")
    assert "&lt;话题&gt;" in page
    assert "<b>" not in page
    for chart in page.split("<figure>")[1:]:
        ElementTree.fromstring(chart.split("</figure>")[0])  # noqa: S314  (our own)
    search_page([TrialPoint(1, "failed", None, 0.0, {})], title="none", metric="")
