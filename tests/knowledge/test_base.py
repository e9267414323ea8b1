"""The file: added, replaced, removed, found; whole after any kill; one writes while others read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from penjing.core.errors import NotFoundError, StoreError
from penjing.knowledge.base import KnowledgeBase
from penjing.knowledge.chunks import Chunk
from penjing.knowledge.documents import Document
from penjing.knowledge.keeping import Hit, Prepared
from penjing.knowledge.terms import match_terms


def prepared(name, text, vector=None, **more):
    vectors = None if vector is None else np.array([vector], np.float32)
    return Prepared(Document(name, text, **more), [Chunk(0, len(text))], vectors)


def found(base, question):
    return [passage.document for passage in base.passages([hit.chunk for hit in base.by_words(question, most=9)])]


@pytest.fixture
def base(tmp_path):
    return KnowledgeBase(tmp_path / "a.kb")


def test_documents_are_added_replaced_and_removed(base):
    base.put([prepared("rain", "It rains in May."), prepared("snow", "Snow in June."), prepared("天", "北京下雨了")])
    assert found(base, "does rain fall?") == ["rain"]
    assert found(base, "下雨") == found(base, "雨") == found(base, "京") == ["天"]
    base.put([prepared("rain", "The sun shines.", title="Sun")])
    assert found(base, "rains") == []
    assert found(base, "shining") == ["rain"]
    base.remove(["snow", "天"])
    assert [one.document for one in base.documents()] == ["rain"]
    assert base.count() == (1, 1)
    assert found(base, "June 下雨") == []
    with pytest.raises(NotFoundError, match="no document 'snow'"):
        base.remove(["rain", "snow"])
    assert base.text("rain") == "The sun shines."


def test_passages_have_their_places(base):
    document = Document("d", "第一页。Second page.", pages=(0, 4), source="d.pdf")
    base.put([Prepared(document, [Chunk(0, 4), Chunk(4, 16)])])
    (hit,) = base.by_words("second", most=3)
    (passage,) = base.passages([hit.chunk])
    assert (passage.text, passage.begin, passage.end, passage.page) == ("Second page.", 4, 16, 2)
    assert base.passages([999, hit.chunk]) == [passage]


def test_vectors_follow_what_others_write(base):
    other = KnowledgeBase(base.path)
    base.put([prepared("a", "a", [1, 0]), prepared("b", "b", [0, 2])])

    def nearest(vector):
        return [passage.document for passage in base.passages([h.chunk for h in base.by_vector(vector, most=2)])]

    assert nearest(np.array([1, 0.1], np.float32)) == ["a", "b"]
    other.put([prepared("c", "c", [5, 0.5]), prepared("b", "b", [-1, 0])])
    assert nearest(np.array([1, 0.1], np.float32)) == ["c", "a"]
    other.remove(["c", "a"])
    assert nearest(np.array([1, 0.1], np.float32)) == ["b"]
    other.remove(["b"])
    assert nearest(np.array([1, 0.1], np.float32)) == []
    base.put([prepared("z", "z")])
    assert nearest(np.array([1, 0.1], np.float32)) == []


def test_exact_search_is_what_sorting_all_gives(base):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    base.put([prepared(f"d{at:02}", "x", vector) for at, vector in enumerate(vectors)])
    question = rng.normal(size=8).astype(np.float32)
    cosines = vectors @ question / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question)
    hits = base.by_vector(question, most=7)
    assert [base.passages([hit.chunk])[0].document for hit in hits] == [f"d{at:02}" for at in np.argsort(-cosines)[:7]]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1][:7], rtol=1e-5)
    some = [hit.chunk for hit in hits[:3]]
    assert list(base.cosines(question, [*some, 10**6])) == some


def test_a_base_that_is_not_there_or_is_none(tmp_path):
    with pytest.raises(NotFoundError, match="there is no knowledge base"):
        KnowledgeBase(tmp_path / "none.kb").must_exist()
    (tmp_path / "bad.kb").write_bytes(b"no database" * 999)
    with pytest.raises(StoreError, match="is broken"):
        KnowledgeBase(tmp_path / "bad.kb").documents()


ADDING = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from knowledge.test_base import KnowledgeBase, Document, Prepared, Chunk
base = KnowledgeBase(Path(sys.argv[1]))
for turn in range(10**6):
    base.put([Prepared(Document(f"d{n}", f"{turn:09d} " * 20), [Chunk(at, at + 20) for at in range(0, 200, 20)])
              for n in range(20)])
    print(turn, flush=True)
"""


def test_whatever_is_killed_a_document_is_whole(tmp_path):
    path = tmp_path / "a.kb"
    for delay_s in (0.0, 0.013, 0.031):
        worker = subprocess.Popen(
            [sys.executable, "-c", ADDING, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        last = [worker.stdout.readline() for _ in range(2)][-1]
        time.sleep(delay_s)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        base = KnowledgeBase(path)
        assert base.count() == (20, 200)
        turns = {base.text(f"d{n}").split()[0] for n in range(20)}
        assert len(turns) == 1, "documents of one call differ"
        assert int(turns.pop()) >= int(last)
        word = base.text("d0").split()[0]
        assert len(base.by_words(word, most=300)) == 200
        assert base.by_words(f"{int(word) - 1:09d}", most=300) == []


def test_one_writes_while_others_read(base):
    base.put([prepared("d", "rain 0")])
    done, seen, wrong = threading.Event(), set(), []

    def read():
        mine = KnowledgeBase(base.path)
        while not done.is_set():
            texts = [one.text for one in mine.passages([hit.chunk for hit in mine.by_words("rain", most=9)])]
            if len(texts) > 1:
                wrong.append(texts)
            seen.update(texts)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(1, 40):
        base.put([prepared("d", f"rain {turn}")])
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(seen) > 1


def test_common_words_cost_no_time_and_move_nothing(tmp_path):
    """Words that FTS5 hardly weighs are left out of the search, but where it brings too few passages without them."""
    rng = np.random.default_rng(3)
    names = [f"w{number}" for number in range(60)]
    texts = [" ".join(["the", *rng.choice(names, 6), *(["of"] if at % 3 else [])]) for at in range(400)]
    base = KnowledgeBase(tmp_path / "a.kb")
    base.put([prepared(f"d{at:03}", text) for at, text in enumerate(texts)])
    for question in ("the w1 of w2", "w3 the", "of", "the of", "w4 w5 w6", "none of the"):
        quick, slow = base.by_words(question, most=20), in_full(base, question, most=20)
        assert [hit.score for hit in quick] == pytest.approx([hit.score for hit in slow], abs=1e-4)
        assert len(quick) == 20
    base.put([prepared("e", "w1 of the new")])
    assert base.by_words("of the new", most=1)[0].chunk == in_full(base, "of the new", most=1)[0].chunk
    base.remove([f"d{at:03}" for at in range(399)])
    assert len(base.by_words("the", most=20)) == 2


def in_full(base, question, *, most):
    """The reference: every term is asked for."""
    sql = "SELECT rowid, -bm25(terms) AS score FROM terms WHERE terms MATCH ? ORDER BY score DESC LIMIT ?"
    with base._database.read() as connection:
        rows = connection.execute(sql, (" OR ".join(match_terms(question)), most))
        return [Hit(row["rowid"], row["score"]) for row in rows]
