"""``penjing predict``: every text answered, in order, wherever it comes from."""

from __future__ import annotations

import itertools
import json
import re

import pytest

import penjing as package
from app.calling import penjing
from app.world import LABELS, labelled_rows, write_rows
from penjing.core.errors import DataError

ROWS = labelled_rows(50, seed=21)
TEXTS = [text for text, _ in ROWS]


def answers(ran):
    assert ran.status == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_texts_from_arguments_standard_input_and_a_file_get_the_same_answers(made, tmp_path):
    asked = answers(penjing("predict", "topics/1", *TEXTS, "--store", made.store, "--json"))
    assert len(asked) == len(TEXTS)
    assert sum(one["label"] == label for one, (_, label) in zip(asked, ROWS, strict=True)) > 40
    lines = "\r\n".join(["\ufeff" + TEXTS[0], *TEXTS[1:]]).encode()
    assert answers(penjing("predict", "topics/1", "--store", made.store, "--json", stdin=lines)) == asked
    file = write_rows(tmp_path / "texts.csv", ROWS)
    assert answers(penjing("predict", "topics/1", "--data", file, "--store", made.store, "--json")) == asked
    output = tmp_path / "answers.jsonl"
    ran = penjing("predict", "topics/1", "--data", file, "--output", output, "--store", made.store)
    assert (ran.status, ran.out) == (0, "")
    assert [json.loads(line) for line in output.read_text().splitlines()] == asked


def test_people_get_a_line_a_text(made):
    long = "we saw the new rocket with some very old satellite today we saw a very new orbit"
    ran = penjing("predict", "topics/1", "球员 进球", long, "--store", made.store)
    first, second = ran.out.splitlines()
    assert re.fullmatch(r"体育  [01]\.\d\d  球员 进球", first)
    assert re.fullmatch(rf"space  [01]\.\d\d  {long[:60]}…", second)


def test_columns_of_the_data_can_be_named(made, tmp_path):
    file = tmp_path / "fresh.csv"
    file.write_text("number;body\n1;the rocket saw orbit\n2;球员进球\n")
    options = ["--set", "text=body", "--set", "delimiter=;", "--json", "--store", made.store]
    assert [one["label"] for one in answers(penjing("predict", "topics/1", "--data", file, *options))] == [
        "space",
        "体育",
    ]
    refused = penjing("predict", "topics/1", "text", *options)
    assert refused.status == 2
    assert "--recipe and --set say how to read --data, and there is no --data" in refused.err


def test_probabilities_are_of_every_label_and_sum_to_one(made):
    (one,) = answers(penjing("predict", "topics", "球员进球", "--probabilities", "--store", made.store, "--json"))
    assert list(one["probabilities"]) == list(LABELS)
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert one["score"] == max(one["probabilities"].values()) == one["probabilities"][one["label"]]


@pytest.mark.parametrize("window", [1, 7, 50, 1000])
def test_order_is_kept_across_windows(made, monkeypatch, window):
    alone = [next(package.predict("topics/1", [text], store=made.store)) for text in TEXTS[:20]]
    monkeypatch.setattr("penjing.app.predict._WINDOW", window)
    together = list(package.predict("topics/1", TEXTS[:20], store=made.store))
    for one, other in zip(alone, together, strict=True):
        assert one.label == other.label
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-4)


def test_endless_input_is_answered_as_it_comes(made, monkeypatch):
    monkeypatch.setattr("penjing.app.predict._WINDOW", 4)
    endless = package.predict("topics/1", itertools.cycle(TEXTS[:3]), store=made.store)
    assert len(list(itertools.islice(endless, 10))) == 10
    endless.close()


def test_no_text_gets_no_answer(made):
    assert list(package.predict("topics/1", [], store=made.store)) == []
    assert penjing("predict", "topics/1", "--store", made.store).out == ""


def test_pairs_are_answered_too(made):
    (one,) = package.predict("topics/1", [("the rocket", "in orbit")], store=made.store)
    assert one.label in LABELS


def test_a_blank_text_is_named_by_its_number(made, monkeypatch):
    monkeypatch.setattr("penjing.app.predict._WINDOW", 2)
    ran = penjing("predict", "topics/1", "--store", made.store, stdin="one\ntwo\n  \u3000\nfour\n".encode())
    assert ran.status == 1
    assert len(ran.out.splitlines()) == 2, "what came before it is answered"
    assert "penjing: text 3 is blank; expected some text to answer. Leave blank lines out." in ran.err
    with pytest.raises(DataError, match="text 1 is blank"):
        next(package.predict("topics/1", [("", "pair")], store=made.store))


def test_what_is_no_unicode_is_told(made, tmp_path):
    ran = penjing("predict", "topics/1", "--store", made.store, stdin="好\n".encode() + "café\n".encode("latin-1"))
    assert ran.status == 1
    assert "line 2 of standard input is not UTF-8 at its byte 3; expected UTF-8 text. Convert it" in ran.err
    ran = penjing("predict", "topics/1", "fine", "caf\udce9", "--store", made.store)
    assert ran.status == 1
    assert "text 2 holds bytes that are not UTF-8" in ran.err


def test_nothing_is_written_where_a_text_cannot_be_answered(made, tmp_path):
    output = tmp_path / "answers.jsonl"
    ran = penjing("predict", "topics/1", "good", " ", "--output", output, "--store", made.store)
    assert ran.status == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["topic", "text"],
            1,
            r"model 'topic' is not in the store .*: topics\. Did you mean 'topics'\?",
        ),
        (["topics/9", "text"], 1, r"version '9' is not in model 'topics'; expected one of: 1, 2"),
        (["topics@stabel", "text"], 1, r"alias 'stabel' is not in model 'topics'"),
        (["topics/x", "text"], 2, "version 'x' in 'topics/x'; expected a whole number .*topics@x"),
        (["../topics", "text"], 2, "expected"),
        (["topics", "text", "--data", "texts.csv"], 2, "both texts and --data were given; expected one of them"),
        (["topics", "text", "--probabilities"], 2, "--probabilities has no place in lines for people; expected --json"),
        (["topics", "--data", "absent.csv"], 1, "absent.csv does not exist; expected a file"),
        (["topics", "text", "--output", "/proc/none/answers"], 1, "expected a"),
    ],
)
def test_wrong_calls_are_told(made, arguments, status, said):
    ran = penjing("predict", *arguments, "--store", made.store)
    assert (ran.status, ran.out) == (status, "")
    assert re.search(said, ran.err), ran.err
