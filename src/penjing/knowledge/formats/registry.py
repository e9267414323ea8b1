"""Which reader a file is for, and folders of them.

Promise: a file gives its documents or one error that names it; what is not whole, locked, without text or too
large is never taken half.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from penjing.core.errors import DataError, InvalidRequestError
from penjing.knowledge.documents import Document, Extracted
from penjing.knowledge.recipe import DocumentsRecipe

FileReader = Callable[[Path, DocumentsRecipe], Extracted]
_TEXT, _MARKDOWN, _HTML, _TABLE = "text", "markdown", "html", "table"
# Suffix → name of a format.
SUFFIXES = {
    ".txt": _TEXT, ".text": _TEXT, ".log": _TEXT, ".rst": _TEXT,
    ".md": _MARKDOWN, ".markdown": _MARKDOWN,
    ".html": _HTML, ".htm": _HTML, ".xhtml": _HTML,
    ".pdf": "pdf", ".docx": "docx",
    ".csv": _TABLE, ".tsv": _TABLE, ".json": _TABLE, ".jsonl": _TABLE, ".ndjson": _TABLE,
}  # fmt: skip
_CONVERT = {
    ".doc": "Save it as .docx.",
    ".odt": "Save it as .docx.",
    ".rtf": "Save it as .docx.",
    ".xlsx": "Save the sheet as CSV.",
    ".xls": "Save the sheet as CSV.",
    ".pptx": "Save it as PDF.",
    ".ppt": "Save it as PDF.",
    ".epub": "Save it as HTML.",
}


def documents_in(path: Path, told: DocumentsRecipe) -> Iterator[Document]:
    """The documents of a file.

    Args:
        path: of the file. It is the id of the document; of a table, row by row, with the row's own id or number.
        told: how to read it.

    Raises:
        DataError: it cannot be read, holds no text, or is over a limit.
        ResourceError: the package that reads it is not installed.
    """
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise _unknown(path)
    _check_size(path, told)
    if form == _TABLE:
        from penjing.knowledge.formats.table import read_table

        yield from read_table(path, told)
        return
    yield named(_reader(form)(path, told), name=path.as_posix(), source=str(path))


def files_in(source: Path) -> Iterator[Path]:
    """A file, or all files of a folder that some reader knows, sorted; hidden ones are left out.

    Raises:
        DataError: there is no such file, or a folder without any.
    """
    if not source.is_dir():
        if not source.exists():
            raise DataError(f"{source} does not exist", expected="a file or a folder of documents")
        yield source
        return
    found = sorted(file for file in _seen(source) if file.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{source} holds no documents", expected=f"files that end in {_known()}")
    yield from found


def text_document(name: str, text: str, *, form: str = _TEXT, title: str = "") -> Document:
    """A document out of text that is at hand already.

    Args:
        name: its id.
        text: as written in its format.
        form: ``text``, ``markdown`` or ``html``.
        title: of the document; empty takes the one it tells itself.

    Raises:
        InvalidRequestError: another format.
        DataError: it holds no text.
    """
    if form == _TEXT:
        found = Extracted(text)
    elif form == _MARKDOWN:
        from penjing.knowledge.formats.markdown import markdown_text

        found = markdown_text(text)
    elif form == _HTML:
        from penjing.knowledge.formats.html import html_text

        found = html_text(text.encode(), encoding="utf-8", origin=name)
    else:
        raise InvalidRequestError(f"a document in the format {form!r}", expected="text, markdown or html")
    return named(found, name=name, source=name, title=title)


def named(found: Extracted, *, name: str, source: str, title: str = "") -> Document:
    """What a reader found, as a document.

    Raises:
        DataError: it holds no text.
    """
    if not found.text.strip():
        raise DataError(f"{source} holds no text", expected="some words")
    return Document(
        name,
        found.text,
        title or found.title,
        pages=found.pages,
        headings=found.headings,
        source=source,
        notes=found.notes,
    )


def _reader(form: str) -> FileReader:
    if form == _TEXT:
        from penjing.knowledge.formats.plain import read_text

        return read_text
    if form == _MARKDOWN:
        from penjing.knowledge.formats.markdown import read_markdown

        return read_markdown
    if form == _HTML:
        from penjing.knowledge.formats.html import read_html

        return read_html
    if form == "pdf":
        from penjing.knowledge.formats.pdf import read_pdf

        return read_pdf
    from penjing.knowledge.formats.docx import read_docx

    return read_docx


def _check_size(path: Path, told: DocumentsRecipe) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", expected="a readable file") from error
    if size > told.max_file_mib * (1 << 20):
        raise DataError(
            f"{path} has {size / (1 << 20):.1f} MiB",
            expected=f"at most {told.max_file_mib:g}",
            do="Split it, or raise documents.max_file_mib.",
        )
    if not size:
        raise DataError(f"{path} is empty", expected="some text")


def _seen(source: Path) -> Iterator[Path]:
    """All files below a folder, but hidden ones and those of hidden folders."""
    for folder, folders, names in os.walk(source):
        folders[:] = [one for one in folders if not one.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _known() -> str:
    return ", ".join(SUFFIXES)


def _unknown(path: Path) -> DataError:
    suffix = path.suffix.lower()
    said = f"has the suffix {suffix!r}" if suffix else "has no suffix"
    return DataError(f"{path} {said}", expected=f"one of {_known()}", do=_CONVERT.get(suffix, ""))
