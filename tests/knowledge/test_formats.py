"""Files of every format, good and bad: the right text with its places, or one error that names the file."""

from __future__ import annotations

import io
import json
import zipfile

import docx
import pypdf
import pytest

from knowledge.making import pdf_bytes
from penjing.core.errors import DataError, InvalidRequestError
from penjing.knowledge.formats.registry import documents_in, files_in, text_document
from penjing.knowledge.recipe import DocumentsRecipe

TOLD = DocumentsRecipe()


def one(path, told=TOLD):
    (document,) = documents_in(path, told)
    return document


def headings(document):
    return [document.text[at:].partition("\n")[0] for at in document.headings]


def test_plain_text_is_as_it_stands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("北京 is 大。\r\n\r\nIt rains.".encode())
    assert one(path).text == "北京 is 大。\r\n\r\nIt rains."
    assert one(path).name == path.as_posix()
    path.write_bytes("天气".encode("gb18030"))
    with pytest.raises(DataError, match="is not utf-8"):
        one(path)
    assert one(path, TOLD.model_copy(update={"encoding": "gb18030"})).text == "天气"


def test_markdown_loses_its_marks_and_keeps_its_headings(tmp_path):
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: The *manual*\n---\n# One\nSee **the** [page](http://x.y), `code`.\n\n"
        "- first\n- second\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx = 1\n```\n## 二\n<b>raw</b> text\n"
    )
    document = one(path)
    assert document.title == "The *manual*"
    assert document.text == (
        "One\n\nSee the page, code.\n\nfirst\n\nsecond\n\na | b\n\n1 | 2\n\nx = 1\n\n二\n\nraw text"
    )
    assert headings(document) == ["One", "二"]


HTML = """<!doctype html><html><head><title>The  page</title><style>p {}</style></head><body>
<nav>Home | About</nav><h1>Rain</h1><p>It <b>rains</b>
 a lot.<br>Really.</p><!-- no --><script>alert(1)</script> after
<ul><li>one</li><li>two <em>2</em></li></ul><table><tr><td>a</td><td>b</td></tr></table>
<pre>x
 y</pre></body></html>"""


def test_html_is_what_a_reader_sees(tmp_path):
    path = tmp_path / "a.html"
    path.write_text(HTML)
    document = one(path)
    assert document.title == "The page"
    assert document.text == "Rain\n\nIt rains a lot.\nReally.\n\nafter\n\none\n\ntwo 2\n\na | b\n\nx\n y"
    assert headings(document) == ["Rain"]


def test_html_in_the_encoding_that_it_tells(tmp_path):
    path = tmp_path / "a.htm"
    path.write_bytes('<meta charset="gbk"><p>天气很好'.encode("gbk"))
    assert one(path).text == "天气很好"
    path.write_bytes("<p>天气很好".encode("gbk"))
    with pytest.raises(DataError, match="is not utf-8"):
        one(path)


def test_a_page_that_nests_without_end_is_read_or_told(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<div>" * 50_000 + "deep")
    with pytest.raises(DataError, match=r"a\.html"):
        one(path)


def test_pdf_pages_are_known(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_bytes(["It rains in May.", None, "Snow falls in June."], title="Weather"))
    document = one(path)
    assert document.text == "It rains in May.\n\nSnow falls in June."
    assert document.title == "Weather"
    assert [document.page_at(document.text.index(word)) for word in ("rains", "Snow", "June")] == [1, 3, 3]
    assert document.notes == (f"{path}: no text on 1 of 3 pages (2); pictures of text are not read",)
    path.write_bytes(pdf_bytes(["a", *[None] * 12]))
    assert "on 12 of 13 pages (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)" in one(path).notes[0]


@pytest.mark.parametrize(
    ("content", "told", "said"),
    [
        (pdf_bytes([None, None]), {}, "has 2 pages and no text on any; expected text, not pictures"),
        (pdf_bytes(["a"] * 5), {"max_pages": 4}, "has 5 pages; expected at most 4.* raise documents.max_pages"),
        (pdf_bytes(["a"])[:200], {}, "cannot be read as PDF"),
        (b"not a pdf at all", {}, "cannot be read as PDF"),
        (b"", {}, "is empty"),
        (b"x" * (1 << 20), {"max_file_mib": 0.5}, "has 1.0 MiB; expected at most 0.5"),
    ],
)
def test_bad_pdfs_are_told(tmp_path, content, told, said):
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"bad.pdf {said}"):
        one(path, DocumentsRecipe(**told))


def test_ten_thousand_pages_are_refused_at_once(tmp_path):
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf_bytes(["a"] * 10_000))
    with pytest.raises(DataError, match=r"has 10,000 pages; expected at most 2,000"):
        one(path)


@pytest.mark.slow
def test_ten_thousand_pages_are_read_where_that_is_asked(tmp_path):
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf_bytes([f"Number {at}." for at in range(10_000)]))
    document = one(path, DocumentsRecipe(max_pages=10_000))
    assert len(document.pages) == 10_000
    assert document.page_at(document.text.index("Number 9999.")) == 10_000


@pytest.mark.parametrize("locked", [True, False])
def test_a_password_is_told_unless_an_empty_one_opens(tmp_path, locked):
    writer = pypdf.PdfWriter(io.BytesIO(pdf_bytes(["Secret words."])))
    writer.encrypt("secret" if locked else "", owner_password="owner", algorithm="RC4-128")
    path = tmp_path / "locked.pdf"
    writer.write(path)
    if not locked:
        assert one(path).text == "Secret words."
        return
    with pytest.raises(DataError, match="is encrypted; expected a PDF that opens without a password"):
        one(path)


def test_docx_has_headings_and_tables_in_their_order(tmp_path):
    made = docx.Document()
    made.core_properties.title = "手册"
    made.add_heading("Warranty", 1)
    made.add_paragraph("Two years.")
    table = made.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "part", "years"
    made.add_paragraph("电池一年。")
    path = tmp_path / "a.docx"
    made.save(str(path))
    document = one(path)
    assert (document.title, document.text) == ("手册", "Warranty\n\nTwo years.\n\npart | years\n\n电池一年。")
    assert headings(document) == ["Warranty"]


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", b"0" * (80 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"would unpack to 80 MiB; expected at most 64"):
        one(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK no zip", "cannot be read as DOCX"), (b"\xd0\xcf\x11\xe0 old", "is locked by a password, or an old .doc")],
)
def test_bad_docx_is_told(tmp_path, content, said):
    path = tmp_path / "bad.docx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        one(path)


def test_tables_are_questions_with_answers_or_documents(tmp_path):
    faq = tmp_path / "faq.csv"
    faq.write_text("question,answer\nHow long?,Two years.\n多久？,两年。\n", encoding="utf-8")
    found = list(documents_in(faq, TOLD))
    assert [(one.text, one.answer) for one in found] == [("How long?", "Two years."), ("多久？", "两年。")]
    assert found[1].name == f"{faq.as_posix()}#2"
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "a", "title": "T", "text": "It rains."}) + "\n")
    (row,) = documents_in(rows, TOLD)
    assert (row.name, row.title, row.text, row.answer) == (f"{rows.as_posix()}#a", "T", "It rains.", None)
    named = tmp_path / "own.json"
    named.write_text(json.dumps([{"问": "多久", "答": "两年"}]))
    (row,) = documents_in(named, DocumentsRecipe(question="问", answer="答"))
    assert (row.text, row.answer) == ("多久", "两年")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question,answer\nHow?,\n", "the answer of .*:2 is blank"),
        ("frage,antwort\nWie?,So.\n", "has the columns frage, antwort; expected question and answer, or text"),
        ("id,text\na,x\na,y\n", "has the id 'a'; expected each id once"),
        ("question,answer\n", "has no rows"),
    ],
)
def test_bad_tables_are_told(tmp_path, content, said):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        list(documents_in(path, TOLD))


def test_folders_give_what_can_be_read_in_order(tmp_path):
    for name in ("b.txt", "a.md", "sub/c.txt", ".hidden/d.txt", ".e.txt", "image.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in files_in(tmp_path)] == ["a.md", "b.txt", "sub/c.txt"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no documents"):
        list(files_in(tmp_path / "none"))
    with pytest.raises(DataError, match="does not exist"):
        list(files_in(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.png", "has the suffix '.png'"), ("a.doc", r"has the suffix '.doc'.* Save it as .docx"), ("a", "no suffix")],
)
def test_other_formats_are_told(tmp_path, name, said):
    path = tmp_path / name
    path.write_text("x")
    with pytest.raises(DataError, match=said):
        one(path)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.docx"])
def test_no_text_is_told(tmp_path, name):
    path = tmp_path / name
    if name == "a.docx":
        docx.Document().save(str(path))
    else:
        path.write_text(" \n")
    with pytest.raises(DataError, match=r"holds no text|cannot be read as HTML"):
        one(path)


def test_text_at_hand_is_a_document_too():
    assert text_document("m", "# One\ntwo", form="markdown").title == "One"
    assert text_document("h", "<h1>Eins</h1><p>zwei ü", form="html").text == "Eins\n\nzwei ü"
    assert text_document("t", "x", title="T").title == "T"
    with pytest.raises(InvalidRequestError, match="in the format 'pdf'; expected text, markdown or html"):
        text_document("p", "x", form="pdf")
