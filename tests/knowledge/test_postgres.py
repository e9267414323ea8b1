"""Bases in a real PostgreSQL server: what the file does, they do; passwords stay unseen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from app.calling import penjing as command
from knowledge.making import LetterModels
from knowledge.postgres_server import Server, programs
from knowledge.test_asking import DOCUMENTS, FIGURES, TOLD
from penjing.app.knowledge_serving import named_bases, with_knowledge
from penjing.core.errors import NotFoundError, StoreError, UsageError
from penjing.knowledge.adding import add
from penjing.knowledge.asking import ask
from penjing.knowledge.base import KnowledgeBase
from penjing.knowledge.chunks import Chunk
from penjing.knowledge.documents import Document
from penjing.knowledge.keeping import Prepared
from penjing.knowledge.models import at_once
from penjing.knowledge.opening import base_at
from penjing.knowledge.terms import asked_of, folded
from penjing.serve import ServeRecipe

psycopg = pytest.importorskip("psycopg", reason="the extra pgvector is not installed")
PROGRAMS, WHY_NOT = programs()
needs_server = pytest.mark.skipif(PROGRAMS is None, reason=WHY_NOT)


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path must be short
    made = Server(PROGRAMS, folder)
    yield made
    made.stop(mode="immediate")
    shutil.rmtree(folder)


@pytest.fixture
def base(server, request):
    name = f"b{abs(hash(request.node.name)) % 10**9}"
    made = base_at(f"{server.url}#{name}", busy_timeout_s=5)
    yield made
    made.close()


def prepared(name, text, vector=None, **more):
    vectors = None if vector is None else np.array([vector], np.float32)
    return Prepared(Document(name, text, **more), [Chunk(0, len(text))], vectors)


def found(base, question):
    return [passage.document for passage in base.passages([hit.chunk for hit in base.by_words(question, most=9)])]


@needs_server
def test_documents_are_added_replaced_and_removed(base):
    assert base.settings() == base.digests(["rain"]) == {}
    assert base.count() == (0, 0)
    with pytest.raises(NotFoundError, match="there is no knowledge base postgresql://"):
        base.must_exist()
    base.put([prepared("rain", "It rains in May."), prepared("snow", "Snow in Köln."), prepared("天", "北京下雨了")])
    base.must_exist()
    assert found(base, "does rain fall?") == ["rain"]
    assert found(base, "KOLN") == ["snow"]
    assert found(base, "下雨") == found(base, "雨") == found(base, "京") == ["天"]
    base.put([prepared("rain", "The sun shines.", title="Sun")])
    assert found(base, "rains") == found(base, "the") == found(base, "?!") == []
    assert found(base, "shining") == ["rain"]
    base.remove(["snow", "天"])
    assert [one.document for one in base.documents()] == ["rain"]
    assert base.count() == (1, 1)
    with pytest.raises(NotFoundError, match="no document 'snow'"):
        base.remove(["rain", "snow"])
    assert base.text("rain") == "The sun shines."
    base.keep({"recipe": {"a": "词"}})
    assert base.settings() == {"recipe": {"a": "词"}}


@needs_server
def test_words_are_ranked_as_in_the_file(base, tmp_path):
    rng, file = np.random.default_rng(3), KnowledgeBase(tmp_path / "a.kb")
    words = [f"word{at}" for at in range(200)]
    made = [
        prepared(
            f"d{at}",
            " ".join(rng.choice(words, rng.integers(5, 60), p=np.arange(1, 201) / 20_100)),
            title="Title word1",
        )
        for at in range(60)
    ]
    for one in (base, file):
        one.put(made)
        one.put(made[:5])  # replaced by themselves: counts must stay right
    for question in ("word150 word39", "word5 word6 word97 word97 rain", "word1"):
        ours, theirs = (one.by_words(question, most=20) for one in (base, file))
        np.testing.assert_allclose([hit.score for hit in ours], [hit.score for hit in theirs], rtol=1e-6)


@needs_server
def test_near_vectors_are_what_sorting_all_gives(base):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    base.put([prepared(f"d{at:02}", "x", vector) for at, vector in enumerate(vectors)])
    base.put([prepared("blind", "x")])
    question = rng.normal(size=8).astype(np.float32)
    cosines = vectors @ question / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question)
    hits = base.by_vector(question, most=7)
    assert [base.passages([hit.chunk])[0].document for hit in hits] == [f"d{at:02}" for at in np.argsort(-cosines)[:7]]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1][:7], rtol=1e-5)
    some = [hit.chunk for hit in hits[:3]]
    assert list(base.cosines(question, [*some, 10**6])) == some
    with pytest.raises(StoreError, match="holds vectors of 8 numbers"):
        base.put([prepared("other", "x", np.ones(9, np.float32))])


@needs_server
@pytest.mark.parametrize(
    ("question", "document", "answer"),
    [
        ("Where was the heavy rain last night?", "rain", "Lisbon"),
        ("球队去年在哪里赢了冠军？", "队", "《北京体育场》"),
        ("保修期多久", "faq#2", "两年。"),
    ],
)
def test_answers_are_cited_to_the_character(base, question, document, answer):
    assert at_once(add(base, DOCUMENTS, models=LetterModels(), told=TOLD)).added == 5
    assert at_once(add(base, DOCUMENTS, models=LetterModels(), told=TOLD)).unchanged == 5
    best = at_once(ask(base, question, models=LetterModels(), told=TOLD, calibration=FIGURES)).best
    assert (best.document, best.answer) == (document, answer)
    assert best.kind == "stored" or base.text(document)[best.begin : best.end] == answer


ADDING = """
import sys
from knowledge.test_postgres import base_at, Document, Prepared, Chunk
base = base_at(sys.argv[1])
for turn in range(10**6):
    base.put([Prepared(Document(f"d{n}", f"w{turn:09d} " * 20), [Chunk(at, at + 11) for at in range(0, 110, 11)])
              for n in range(8)])
    print(turn, flush=True)
"""


@needs_server
@pytest.mark.parametrize("killed", ["client", "server"])
def test_whatever_is_killed_a_document_is_whole(server, killed):
    url = f"{server.url}#killed_{killed}"
    worker = subprocess.Popen(
        [sys.executable, "-c", ADDING, url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2], env=os.environ | {"PYTHONPATH": os.pathsep.join(["tests", *sys.path])},
    )  # fmt: skip
    base = base_at(url)
    last = int([worker.stdout.readline() for _ in range(4)][-1])
    base.must_exist()  # leaves an idle connection, which the server's end breaks
    if killed == "server":
        server.stop(mode="immediate")
        server.start()
    else:
        worker.send_signal(signal.SIGKILL)
    worker.wait(timeout=20)
    worker.stdout.close()
    assert base.count() == (8, 80)
    turns = {base.text(f"d{n}").split()[0] for n in range(8)}
    assert len(turns) == 1, "documents of one call differ"
    word = turns.pop()
    assert int(word[1:]) >= last
    assert len(base.by_words(word, most=300)) == 80
    assert base.by_words(f"w{int(word[1:]) - 1:09d}", most=300) == []
    base.close()


@needs_server
def test_one_writes_at_a_time_while_others_read(base):
    base.put([prepared("d", "rain 0")])
    wrong = []

    def write(own):
        for turn in range(5):
            base.put([prepared("d", f"rain {own} {turn}"), prepared(f"e{own}", "sun")])
            if len(base.by_words("rain", most=9)) != 1:
                wrong.append(turn)

    writers = [threading.Thread(target=write, args=(own,)) for own in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert not wrong
    assert base.count() == (4, 4)


@needs_server
def test_a_writer_that_takes_too_long_is_named(server):
    slow, quick = (base_at(f"{server.url}#locked", busy_timeout_s=wait) for wait in (5, 0.2))
    slow.keep({"a": 1})
    with slow._link.write(), pytest.raises(StoreError, match="stayed locked by another writer"):
        quick.keep({"a": 2})
    assert slow.settings() == {"a": 1}
    slow.close()
    quick.close()


@needs_server
def test_from_the_command_line_and_a_server(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BASE", f"{server.url}#cli")
    Path("faq.csv").write_text("question,answer\nHow long is the warranty?,Two years.\n")
    assert command("knowledge", "ask", "env:BASE", "warranty").status == 1
    added = command("knowledge", "add", "env:BASE", "faq.csv")
    assert added.out == "env:BASE: 1 added, 0 replaced, 0 unchanged, 0 left out; 1 documents in 1 passages\n"
    assert command("knowledge", "ask", "env:BASE", "how long is the warranty", "--json").json["answer"] == "Two years."
    _, mounts = with_knowledge(ServeRecipe(), named_bases(["faq=env:BASE"]), store=tmp_path)
    assert mounts is not None
    assert command("knowledge", "remove", "env:BASE", "faq.csv#1").status == 0
    assert command("knowledge", "list", "env:BASE").out == "env:BASE holds no documents.\n"


def test_a_password_is_never_shown(monkeypatch):
    url = "postgresql://me:s3cret@127.0.0.1:9/base"
    for said in (url, "postgresql://me@127.0.0.1:9/base?password=s3cret", "postgresql://me:s3cret@[::1/b"):
        with pytest.raises(UsageError) as told:
            base_at(said)
        assert "s3cret" not in str(told.value)
        assert told.value.__cause__ is None
    monkeypatch.setenv("KNOWLEDGE_URL", f"{url}#faq")
    base = base_at("env:KNOWLEDGE_URL")
    assert base.place == "env:KNOWLEDGE_URL"
    assert "s3cret" not in repr(base._address)
    with pytest.raises(StoreError, match=r"env:KNOWLEDGE_URL: .*refused") as told:
        base.settings()
    assert "s3cret" not in f"{told.value}{told.value.__cause__}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("env:NOT_THERE", "the environment variable NOT_THERE holds no URL"),
        ("postgresql://me@host/base#No Name", "is named 'No Name'"),
        ("postgresql://me@host/base?nonsense=1", "cannot be read"),
    ],
)
def test_addresses_that_are_none(said, why):
    with pytest.raises(UsageError, match=why):
        base_at(said)


def test_terms_are_folded_and_bounded():
    assert folded("Köln İstanbul ＡＢＣ 下雨了 が") == ["koln", "istanbul", "abc", "下雨", "雨了", "が"]
    assert [len(term) for term in folded("x" * 10**6)] == [200]
    assert asked_of("雨 Rain") == {"雨": True, "rain": False}
