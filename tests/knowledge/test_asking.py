"""From documents to cited answers, with models that count letters."""

from __future__ import annotations

import pytest

from knowledge.making import LetterModels
from penjing.core.errors import DataError, InvalidRequestError, UsageError
from penjing.knowledge.adding import add, refuse_other
from penjing.knowledge.asking import ask
from penjing.knowledge.base import KnowledgeBase
from penjing.knowledge.confidence import Calibration
from penjing.knowledge.documents import Document
from penjing.knowledge.models import at_once
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.search import fused, search, way
from penjing.knowledge.told import as_dict

TOLD = KnowledgeRecipe(embedder="e/1", reader="r/1", chunks={"max_tokens": 16, "overlap": 0})
FIGURES = Calibration(weights=(1.0, 2.0, 0, 0, 0, 0), lead=0.0, offset=-1.0, threshold=0.5)
DOCUMENTS = [
    Document("rain", "Clouds came over the hills. The heavy rain fell on Lisbon last night. We stayed.", "Weather"),
    Document("队", "这支球队来自南方。球队去年在《北京体育场》赢了冠军。", "球队"),
    Document("pages", "First page here.\n\nThe old bridge was built in 1834 by hand.", pages=(0, 18)),
    Document("faq#1", "How long is the warranty?", answer="Two years."),
    Document("faq#2", "保修期有多久？", answer="两年。"),
]  # fmt: skip


@pytest.fixture
def base(tmp_path):
    made = KnowledgeBase(tmp_path / "a.kb")
    at_once(add(made, DOCUMENTS, models=LetterModels(), told=TOLD))
    return made


def asked(base, question, told=TOLD, **more):
    return at_once(ask(base, question, models=LetterModels(), told=told, **{"calibration": FIGURES, **more}))


@pytest.mark.parametrize(
    ("question", "document", "answer", "page"),
    [
        ("Where was the heavy rain last night?", "rain", "Lisbon", None),
        ("球队去年在哪里赢了冠军？", "队", "《北京体育场》", None),
        ("When was the old bridge built?", "pages", "1834", 2),
    ],
)
def test_answers_are_cited_to_the_character(base, question, document, answer, page):
    best = asked(base, question).best
    assert (best.document, best.answer, best.kind, best.page) == (document, answer, "span", page)
    assert base.text(document)[best.begin : best.end] == answer
    passage_end = best.passage_begin + len(best.passage)
    assert base.text(document)[best.passage_begin : passage_end] == best.passage


@pytest.mark.parametrize(("question", "answer"), [("how long is the warranty", "Two years."), ("保修期多久", "两年。")])
def test_stored_answers_are_given_to_questions_like_theirs(base, question, answer):
    for told in (TOLD, KnowledgeRecipe()):
        best = asked(base, question, told).best
        assert (best.answer, best.kind) == (answer, "stored")
        assert best.passage == base.text(best.document)


@pytest.mark.parametrize("question", ["Which whale sings?", "谁发明了电话？", "?!", "🙂"])
@pytest.mark.parametrize("told", [TOLD, KnowledgeRecipe()])
def test_what_is_not_there_is_said_to_be_not_there(base, question, told):
    answer = asked(base, question, told)
    assert answer.best is None
    assert answer.confidence < 0.5
    said = as_dict(answer, passages=3)
    assert said["answer"] is None
    assert len(said["others"]) == len(answer.others)


def test_the_threshold_can_be_set(base):
    question = "Which whale sings?"
    low = TOLD.model_copy(update={"search": TOLD.search.model_copy(update={"threshold": 0.0})})
    high = TOLD.model_copy(update={"search": TOLD.search.model_copy(update={"threshold": 1.0})})
    assert asked(base, question, low).best is not None
    assert asked(base, "Where was the heavy rain last night?", high).best is None


def test_reading_ends_where_it_is_sure(base):
    models = LetterModels()
    question = "Where was the heavy rain last night?"
    sure = TOLD.model_copy(update={"search": TOLD.search.model_copy(update={"read_first": 1, "sure": 0.5})})
    first = at_once(ask(base, question, models=models, told=sure, calibration=FIGURES))
    assert (models.read, first.read, first.best.answer) == (1, 1, "Lisbon")
    whole = sure.model_copy(update={"search": sure.search.model_copy(update={"read_first": None})})
    models.read = 0
    assert at_once(ask(base, question, models=models, told=whole, calibration=FIGURES)).best.answer == "Lisbon"
    assert models.read > 1


@pytest.mark.parametrize(("at_a_time", "calls"), [(1, [1, 1, 1]), (2, [2, 1]), (None, [3])])
def test_passages_are_read_so_many_at_a_time_and_the_answer_is_the_same(base, at_a_time, calls):
    models = LetterModels()
    how = {"read": 3, "read_first": at_a_time, "sure": 1.0}
    told = TOLD.model_copy(update={"search": TOLD.search.model_copy(update=how)})
    answer = at_once(ask(base, "Where was the heavy rain last night?", models=models, told=told, calibration=FIGURES))
    assert (models.calls, answer.best.answer) == (calls, "Lisbon")


def test_a_reranker_decides_the_order(base):
    told = TOLD.model_copy(update={"reranker": "c/1"})
    found = at_once(search(base, "heavy rain last night", models=LetterModels(), told=told, most=4))
    assert [one.rank for one in found] == [1, 2, 3, 4]
    assert found[0].relevance >= found[1].relevance >= found[2].relevance
    assert "rain" in found[0].passage.text


def test_without_a_reader_passages_are_found_and_nothing_is_claimed(base):
    answer = asked(base, "heavy rain", KnowledgeRecipe())
    assert answer.best is None
    assert answer.passages[0].passage.document == "rain"
    assert not at_once(ask(base, "heavy rain", models=LetterModels(), told=TOLD)).is_calibrated


def test_what_is_known_already_is_not_embedded_again(base):
    class Counting(LetterModels):
        embedded = 0

        async def vectors(self, texts):
            self.embedded += len(texts)
            return await super().vectors(texts)

    models = Counting()
    done = at_once(add(base, DOCUMENTS, models=models, told=TOLD))
    assert (done.added, done.replaced, done.unchanged, models.embedded) == (0, 0, 5, 0)
    changed = Document("rain", "The rain fell on Porto.", "Weather")
    done = at_once(add(base, [changed, *DOCUMENTS[1:]], models=models, told=TOLD))
    assert (done.replaced, done.unchanged, models.embedded) == (1, 4, 1)
    assert asked(base, "Where has the rain fell on?").best.answer == "Porto"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (Document("rain", "x", source="b.txt"), "two documents have the id 'rain'"),
        (Document("bad", "half \ud800", source="b.txt"), "b.txt holds half a surrogate pair"),
        (Document("bad", "a\0b", source="b.txt"), "b.txt holds a NUL character"),
        (Document("empty", " \n\u3000", source="b.txt"), "the document of b.txt is blank"),
        (Document("empty", "What?", answer=" "), "the answer of empty is blank"),
    ],
)
def test_documents_that_cannot_be_kept(base, document, said):
    with pytest.raises(DataError, match=said):
        at_once(add(base, [*DOCUMENTS, document], models=LetterModels(), told=TOLD))


@pytest.mark.parametrize(
    ("question", "said"),
    [(" \n", "the question is blank"), ("x" * 2001, "has 2,001 characters"), ("\udc00", "half a surrogate pair")],
)
def test_what_is_no_question(base, question, said):
    with pytest.raises(InvalidRequestError, match=said):
        asked(base, question)


def test_ranks_are_fused():
    assert fused([[1, 2, 3], [3, 1]]) == [
        (1, pytest.approx(1 / 61 + 1 / 62)),
        (3, pytest.approx(1 / 63 + 1 / 61)),
        (2, pytest.approx(1 / 62)),
    ]


def test_what_does_not_go_together():
    dense = KnowledgeRecipe(search={"by": "dense"})
    with pytest.raises(UsageError, match="has no embedding model"):
        way(dense)
    with pytest.raises(UsageError, match="made with embedder e/1, and none is asked for"):
        refuse_other(TOLD, TOLD.model_copy(update={"embedder": None}))


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("w" * 10**6, "w" * 2000),
        ("השמש זרחה על חיפה בשנת 1934 ואחר כך ירד גשם.", "מתי זרחה השמש על חיפה?"),
        ("أمطرت السماء على بيروت في عام 1950 طوال الليل.", "متى أمطرت السماء على بيروت؟"),
        ("🙂 Ελλάδα und 東京 \u200f1964\u200e mixed.", "東京?"),
    ],
)
def test_odd_texts_are_kept_whole_and_cited_rightly(base, text, question):
    at_once(add(base, [Document("odd", text)], models=LetterModels(), told=TOLD))
    assert base.text("odd") == text
    found = at_once(search(base, question, models=LetterModels(), told=TOLD, most=3))
    assert found[0].passage.document == "odd" or text.startswith("w")
    for one in (cited for cited in (asked(base, question).best, *asked(base, question).others) if cited):
        if one.kind == "span":
            assert base.text(one.document)[one.begin : one.end] == one.answer
