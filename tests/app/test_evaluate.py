"""``penjing evaluate``: the version's own test split, and other data."""

from __future__ import annotations

import csv

import pytest

import penjing as package
from app.calling import penjing
from app.world import labelled_rows, write_rows
from penjing.core.errors import DataError
from penjing.data import DataRecipe
from penjing.store import Store


def test_its_own_test_split_gives_the_scores_it_carries(store):
    ran = penjing("evaluate", "topics/1", "--store", store, "--json")
    assert ran.status == 0, ran.err
    carried = Store(store).bundle("topics", 1).manifest.metrics
    assert ran.json["model"] == "topics/1"
    assert ran.json["n"] == 80
    assert ran.json["metrics"]["accuracy"] == carried["accuracy"].model_dump()
    (entry,) = Store(store).ledger.entries(kind="evaluated")
    assert entry.subject == "topics/1"
    assert entry.facts["metrics"]["accuracy"]["value"] == carried["accuracy"].value


def test_other_data_with_other_columns(store, tmp_path):
    fresh = tmp_path / "fresh.csv"
    with fresh.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("what", "body"), *((b, a) for a, b in labelled_rows(40, seed=9))])
    report = tmp_path / "reports" / "fresh.html"
    options = ["--set", "text=body", "--set", "label=what", "--set", "delimiter=;", "--report", report]
    ran = penjing("evaluate", "topics/2", "--data", fresh, *options, "--store", store)
    assert ran.status == 0, ran.err
    assert f"topics/2 on {fresh}" in ran.out
    assert "measured on these examples" in ran.out
    assert "<html" in report.read_text()
    columns = DataRecipe(train=str(fresh), text="body", label="what", delimiter=";")
    done = package.evaluate("topics/2", store=store, data=str(fresh), columns=columns)
    assert done.judgement.result.n == 40
    assert done.source == str(fresh)


def test_labels_the_model_does_not_know_are_refused_or_left_out(store, tmp_path):
    fresh = write_rows(tmp_path / "fresh.csv", [*labelled_rows(8, seed=9), ("rain", "weather")])
    ran = penjing("evaluate", "topics/1", "--data", fresh, "--store", store, "--json")
    assert ran.status == 1
    assert ran.json["error"]["came"] == "test has labels that training never sees: 'weather' (1 rows)"
    assert "expected labels among 'cars', 'space', '体育', '美食'" in ran.err
    assert "on_unseen_label: drop" in ran.err
    ran = penjing("evaluate", "topics/1", "--data", fresh, "--set", "on_unseen_label=drop", "--store", store, "--json")
    assert ran.json["n"] == 8
    with pytest.raises(DataError, match="weather"):
        package.evaluate("topics/1", store=store, data=str(fresh))


def test_settings_without_data_are_refused(made):
    ran = penjing("evaluate", "topics/1", "--set", "text=body", "--store", made.store)
    assert ran.status == 2
    assert "there is no --data; expected --data SOURCE" in ran.err


def test_a_test_split_that_has_changed_is_told(store, world, tmp_path):
    test = write_rows(tmp_path / "test.csv", labelled_rows(12, seed=2))
    bundle = Store(store).bundle("topics", 1)
    file = bundle.path / "bundle.json"
    file.write_text(file.read_text().replace(str(world.test), str(test)))
    ran = penjing("evaluate", "topics/1", "--store", store)
    assert ran.status == 2
    assert "the test split of topics/1 is no longer what it was judged on" in ran.err
    assert "Restore the data, or fine-tune again" in ran.err


def test_data_that_is_gone_is_told(store, world, tmp_path):
    file = Store(store).bundle("topics", 1).path / "bundle.json"
    file.write_text(file.read_text().replace(str(world.test), str(tmp_path / "gone.csv")))
    ran = penjing("evaluate", "topics/1", "--store", store)
    assert ran.status == 1
    assert "gone.csv does not exist; expected a file" in ran.err
