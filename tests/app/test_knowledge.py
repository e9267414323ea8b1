"""``penjing knowledge`` from the command line and from Python, on real bundles of tiny random models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import penjing
from app.calling import penjing as command
from app.calling import settings
from knowledge.making import pdf_bytes
from penjing.core.errors import DataError, NotFoundError, UsageError
from penjing.knowledge import Document

SMALL = settings("chunks.max_tokens=16", "chunks.overlap=0")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/rain.md").write_text("# Weather\n\nThe rain fell on lisbon last night.\n")
    Path("docs/队.txt").write_text("球队去年赢了。", encoding="utf-8")
    Path("faq.csv").write_text("question,answer\nHow long is the warranty?,Two years.\n")
    return tmp_path


def test_the_life_of_a_base(knowledge_store, files):
    models = ["--embedder", "encoder", "--reader", "reader", "--store", knowledge_store]
    ran = command("knowledge", "add", "a.kb", "docs", "faq.csv", *models, *SMALL, "--json")
    assert ran.status == 0, ran.err
    assert (ran.json["added"], ran.json["documents"], ran.json["unchanged"]) == (3, 3, 0)
    again = command("knowledge", "add", "a.kb", "docs", "--store", knowledge_store)
    assert again.out == "a.kb: 0 added, 0 replaced, 2 unchanged, 0 left out; 3 documents in 3 passages\n"
    listed = command("knowledge", "list", "a.kb")
    assert all(name in listed.out for name in ("docs/rain.md", "docs/队.txt", "faq.csv#1", "Weather"))
    ran = command("knowledge", "ask", "a.kb", "how long is the warranty", "--store", knowledge_store, "--json")
    assert ran.json["answer"] == "Two years."
    assert ran.json["cited"]["document"] == "faq.csv#1"
    assert (
        command("knowledge", "remove", "a.kb", "faq.csv#1").out == "a.kb: 1 removed\n"
    )  # random models find it like all
    told = settings("search.threshold=0")
    ran = command("knowledge", "ask", "a.kb", "rain", "球队", "--store", knowledge_store, *told, "--passages", 1)
    lines = [re.sub(r"[01]\.\d\d", "~", line) for line in ran.out.splitlines()]
    assert len(lines) == 8
    assert lines[0] == "rain"
    assert "characters" in lines[2]
    assert lines[7].startswith("  1. docs/队.txt: 球队去年赢了。")
    ran = command(
        "knowledge", "ask", "a.kb", "--store", knowledge_store, *settings("search.threshold=1"), stdin=b"who\n"
    )
    assert "not in the knowledge base" in ran.out
    assert command("knowledge", "remove", "a.kb", "docs/rain.md").out == "a.kb: 1 removed\n"
    left = command("knowledge", "list", "a.kb", "--json").json
    assert (left["document"], left["characters"], left["is_answer"]) == ("docs/队.txt", 7, False)


def test_words_alone_need_no_model(files):
    assert command("knowledge", "add", "b.kb", "docs", "faq.csv").status == 0
    ran = command("knowledge", "ask", "b.kb", "how long is the warranty", "--json", "--passages", 2)
    assert (ran.json["answer"], ran.json["cited"]["kind"]) == ("Two years.", "stored")
    assert ran.json["passages"][0]["text"] == "How long is the warranty?"


def test_from_python(knowledge_store, files):
    with penjing.open_knowledge(Path("c.kb"), embedder="encoder", sets=SMALL[1::2], store=knowledge_store) as opened:
        opened.add([Path("docs"), Document("note", "The rain fell on porto.", source="a note")])
        assert [one.document for one in opened.documents()] == ["docs/rain.md", "docs/队.txt", "note"]
        assert opened.search("rain on porto", most=1)[0].passage.document == "note"
        assert opened.told.embedder == "encoder/1"
        assert opened.ask("rain").best is None
        opened.remove(["note"])


def test_bad_files_stop_or_are_left_out(files):
    Path("docs/a.pdf").write_bytes(b"no pdf")
    ran = command("knowledge", "add", "d.kb", "docs")
    assert (ran.status, "a.pdf cannot be read as PDF" in ran.err) == (1, True)
    ran = command("knowledge", "add", "d.kb", "docs", "--set", "documents.skip_bad=true", "--json")
    assert (ran.status, ran.json["added"], len(ran.json["left_out"])) == (0, 2, 1)
    assert "left out: docs/a.pdf" in ran.err
    Path("docs/a.pdf").write_bytes(pdf_bytes(["It rains.", None]))
    ran = command("knowledge", "add", "d.kb", "docs", "--json")
    assert (ran.json["added"], len(ran.json["notes"])) == (1, 1)
    assert "! docs/a.pdf: no text on 1 of 2 pages (2)" in ran.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ask", "none.kb", "x"], 1, "there is no knowledge base none.kb"),
        (["list", "none.kb"], 1, "there is no knowledge base none.kb"),
        (["remove", "none.kb", "x"], 1, "there is no knowledge base none.kb"),
        (["add", "e.kb", "nowhere"], 1, "nowhere does not exist"),
        (["add", "e.kb", "docs", "--set", "chunks.overlap=100"], 2, "expected at most half of max_tokens"),
        (["add", "e.kb", "docs", "--set", "chunk.overlap=1"], 2, "did you mean 'chunks'?"),
    ],
)
def test_what_is_wrong_is_told(files, arguments, status, said):
    ran = command("knowledge", *arguments)
    assert (ran.status, said in ran.err) == (status, True), ran.err
    assert not Path("none.kb").exists()


def test_models_that_do_not_fit_are_refused(knowledge_store, files):
    def opened(**told):
        return penjing.open_knowledge(Path("f.kb"), store=knowledge_store, **told)

    with pytest.raises(UsageError, match=r"the embedder reader/1 is for question-answering"):
        opened(embedder="reader")
    with pytest.raises(NotFoundError, match="model 'none'"):
        opened(reader="none")
    with pytest.raises(UsageError, match=r"chunks.max_tokens is 128, and encoder/1 reads \d+ of a text"):
        opened(embedder="encoder")
    with opened(embedder="encoder", sets=SMALL[1::2]) as made:
        made.add([Path("docs")])
    with pytest.raises(UsageError, match="was made with chunks"):
        opened(sets=["chunks.max_tokens=20"])
    with opened() as made, pytest.raises(DataError, match=r"two documents have the id 'docs/rain\.md'"):
        made.add([Path("docs"), Path("docs/rain.md")])
