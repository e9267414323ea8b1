"""Confidences fitted to known answers, judged on the half that did not fit them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import penjing
from app.calling import penjing as command
from knowledge.making import LetterModels
from penjing.app.knowledge_calibration import Asked, asked_in, calibrate
from penjing.core.errors import DataError, UsageError
from penjing.knowledge import Document
from penjing.tokens.words import words_of

TOWNS = ["Lisbon", "Porto", "Oslo", "Turin", "Basel", "Ghent", "Leeds", "Kyoto"]
PLACES = ["mill", "pond", "gate", "barn", "pier", "cave", "fort", "inn"]
THINGS = ["rain", "snow", "hail", "fog", "dust", "ash", "sleet", "wind"]


class Local(LetterModels):
    """With the parts that a process of its own needs."""

    reader_reference = "reader/1"
    token_spans = staticmethod(words_of)

    def close(self):
        pass


@pytest.fixture
def opened(tmp_path, knowledge_store):
    rng = random.Random(0)
    with penjing.open_knowledge(
        tmp_path / "a.kb", embedder="encoder", reader="reader", sets=["chunks.max_tokens=16", "chunks.overlap=0"],
        store=knowledge_store,
    ) as made:  # fmt: skip
        made._models = Local()
        pairs = [(one, other) for one in THINGS for other in PLACES]
        made.add([Document(f"{a}{b}", f"The {a} near the {b} fell on {rng.choice(TOWNS)} once.") for a, b in pairs])
        yield made


def questions(opened, count=60):
    rng, asked = random.Random(1), []
    for one in rng.sample(opened.documents(), count):
        text = opened.base.text(one.document)
        known = rng.random() < 0.7
        words = text.split()
        asking = f"Where fell the {words[1]} near the {words[4]}?"
        question = asking if known else f"Who sold the {rng.randrange(99)} boats?"
        asked.append(Asked(question, (words[7],) if known else ()))
    return asked


def test_confidences_come_to_fit(opened):
    asked = questions(opened)
    assert not opened.ask(asked[0].question).is_calibrated
    told = calibrate(opened, asked)
    assert told.questions == 60
    assert told.refused > 0.7
    assert told.right > 0.8
    assert told.error < 0.2
    known = next(one for one in asked if one.answers)
    answer = opened.ask(known.question)
    assert answer.is_calibrated
    assert answer.best.answer == known.answers[0]
    assert opened.ask("Who sold the 7 boats?").confidence < answer.confidence
    opened._models.reader_reference = "reader/2"
    assert not opened.ask(known.question).is_calibrated


def test_too_little_to_fit_is_told(opened, tmp_path):
    with pytest.raises(UsageError, match="3 questions; expected at least 20"):
        calibrate(opened, questions(opened, 3))
    with pytest.raises(UsageError, match="answers none of the questions"):
        calibrate(opened, [Asked("Who sold boats?", ())] * 30)


def test_questions_in_files(tmp_path):
    rows = [
        {"question": "a?", "answers": ["x", "y"]},
        {"question": "b?", "answers": {"text": ["z"], "answer_start": [0]}},
        {"question": "c?", "answers": []},
        {"question": "d?", "answer": "w"},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.answers for one in asked_in(path)] == [("x", "y"), ("z",), (), ("w",)]
    path.write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match="has no question"):
        asked_in(path)


def test_the_command_wants_a_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("It rains.")
    Path("q.jsonl").write_text('{"question": "a?", "answers": []}\n')
    assert command("knowledge", "add", "b.kb", "a.txt").status == 0
    ran = command("knowledge", "calibrate", "b.kb", "--data", "q.jsonl")
    assert (ran.status, "has no reader to calibrate" in ran.err) == (2, True)
