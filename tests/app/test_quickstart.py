"""``penjing quickstart`` with one's own model and data: made once, found again, served and asked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

import penjing as package
from app.calling import Ran, penjing, settings
from app.world import BRIEF, LABELS, QUICK, labelled_rows, write_rows
from penjing.app.quickstart import quickstart_recipe, report_of
from penjing.core.errors import PenjingError
from penjing.store import Store

COMPARED = tuple(one.replace("measure", "compare") for one in BRIEF)
SETS = (*QUICK, *BRIEF, *COMPARED, "name=quick", "training.frozen_layers=0", "quantize.max_drop=0.2")


def asked(world, store, *more):
    sources = ["--model", world.checkpoint, "--train", world.train, "--test", world.test]
    return ["quickstart", *sources, "--store", store, "--port", "0", *settings(*SETS), *more]


def recipe_of(world, *sets):
    flags = {"model": str(world.checkpoint), "data.train": str(world.train), "data.test": str(world.test)}
    return quickstart_recipe(None, [*SETS, *sets], flags)


@pytest.fixture(scope="module")
def quick(world, tmp_path_factory) -> tuple[object, Ran]:
    """The store of a first run, and how it ended."""
    store = tmp_path_factory.mktemp("quick") / "store"
    ran = penjing(*asked(world, store))
    assert ran.status == 0, ran.err
    return store, ran


def test_the_first_run_makes_measures_and_serves_both_versions(quick):
    store, ran = quick
    home = Store(store)
    assert home.versions("quick") == [1, 2]
    assert home.aliases.get("quick", "stable") == 2
    for version in (1, 2):
        home.bundle("quick", version).verify()
    rows = report_of(home.bundle("quick", 2)).systems
    assert [row.name for row in rows] == ["Transformers fp32", "Penjing fp32", "Penjing int8"]
    assert rows[1].quality.n == rows[2].quality.n == 80
    for shown in (
        "quick/1 (fp32)",
        "Transformers fp32",
        "requests/s",
        "penjing predict quick",
        "Done in",
        "that Transformers fp32 was asked",
    ):
        assert shown in ran.out
    for said in (
        "Registered quick/1",
        "Serving on http://127.0.0.1:",
        "POST /v1/models/quick:predict",
        "Server stopped",
    ):
        assert said in ran.err


def test_the_answers_are_those_of_predict(world, quick):
    store, _ = quick
    ran = penjing(*asked(world, store, "--json"))
    answers = ran.json["answers"]
    assert len(answers) == 3
    again = list(package.predict("quick@stable", [one["text"] for one in answers], store=store))
    assert [one["label"] for one in answers] == [one.label for one in again]
    assert {one["label"] for one in answers} <= set(LABELS)


def test_the_second_run_finds_both_and_is_quick(world, quick):
    store, _ = quick
    began = time.monotonic()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ran = penjing(*asked(world, store, "--json", "--port", port))
    assert ran.status == 0, ran.err
    assert time.monotonic() - began < 20
    assert ran.json["fresh"] is False
    assert [one["version"] for one in ran.json["versions"]] == [1, 2]
    assert "quick/1 and quick/2 are in" in ran.err
    assert f"Port {port} is taken; serving on a free one." in ran.err
    assert Store(store).versions("quick") == [1, 2]


class WorkError(PenjingError):
    """Raised in the place of the work that would be done anew."""


@pytest.fixture
def no_work(monkeypatch):
    def told(name):
        def refuse(*arguments, **options):
            raise WorkError(name)

        return refuse

    for name in ("finetune", "quantize"):
        monkeypatch.setattr(f"penjing.app.quickstart.{name}", told(name))


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("sets", "again", "work"),
    [
        ((), False, None),
        ((), True, "finetune"),
        (("training.epochs=7",), False, "finetune"),
        (("quantize.engine=openvino",), False, "quantize"),
        (("compare.rounds=2",), False, "quantize"),
    ],
)
def test_only_what_was_told_otherwise_is_done_again(world, quick, sets, again, work):
    store, _ = quick
    if work is None:
        assert not package.quickstart(recipe_of(world, *sets), store=store).fresh
    else:
        with pytest.raises(WorkError, match=work):
            package.quickstart(recipe_of(world, *sets), store=store, again=again)


@pytest.mark.usefixtures("no_work")
def test_changed_data_and_weights_are_noticed(world, quick, tmp_path):
    store, _ = quick
    test = world.test.read_bytes()
    config = (world.checkpoint / "config.json").read_bytes()
    try:
        write_rows(world.test, labelled_rows(20, seed=77))
        with pytest.raises(WorkError, match="finetune"):
            package.quickstart(recipe_of(world), store=store)
        world.test.write_bytes(test)
        (world.checkpoint / "config.json").write_bytes(config + b"\n")
        with pytest.raises(WorkError, match="finetune"):
            package.quickstart(recipe_of(world), store=store)
    finally:
        world.test.write_bytes(test)
        (world.checkpoint / "config.json").write_bytes(config)
    assert not package.quickstart(recipe_of(world), store=store).fresh


@pytest.mark.parametrize(("precision", "frozen"), [("bf16", 0), ("fp32", 1)])
def test_two_layers_are_trained_where_bf16_is_fast_else_one_unless_told_otherwise(world, precision, frozen):
    flags = {"model": str(world.checkpoint)}
    assert quickstart_recipe(None, [f"training.precision={precision}"], flags).training.frozen_layers == frozen
    assert quickstart_recipe(None, ["training.frozen_layers=2"], flags).training.frozen_layers == 2


def test_keep_serves_until_ctrl_c_and_stops_cleanly(world, quick):
    store, _ = quick
    command = [sys.executable, "-m", "penjing", *map(str, asked(world, store, "--keep", "--json"))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            url = next(line for line in process.stderr if line.startswith("Serving " + str(store))).split()[3]
            deadline = time.monotonic() + 60
            while httpx.get(f"{url}/readyz").status_code != 200 and time.monotonic() < deadline:
                time.sleep(0.05)
            reply = httpx.post(f"{url}/v1/models/quick:predict", json={"instances": ["足球比赛"]})
            assert reply.json()["predictions"][0]["label"] == "体育"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


@pytest.mark.slow
def test_again_makes_two_more_versions(world, quick, tmp_path):
    store, _ = quick
    os.environ.pop("PENJING_STORE", None)
    ran = penjing(*asked(world, store, "--again", "--json"))
    assert ran.status == 0, ran.err
    assert ran.json["fresh"] is True
    assert [one["version"] for one in ran.json["versions"]] == [3, 4]
    assert Store(store).aliases.get("quick", "stable") == 4
