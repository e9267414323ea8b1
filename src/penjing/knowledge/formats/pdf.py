"""PDF by pypdf: the text of each page. Pages without text are told; a file of nothing else is refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.core.errors import DataError, PenjingError
from penjing.core.extras import require
from penjing.knowledge.documents import Extracted, TextBuilder
from penjing.knowledge.recipe import DocumentsRecipe

if TYPE_CHECKING:
    from pypdf import PdfReader

_TOLD = 10  # page numbers
_UNLOCK = "Save a copy without a password (for instance: qpdf --decrypt --password=… in.pdf out.pdf)."


def read_pdf(path: Path, told: DocumentsRecipe) -> Extracted:
    """A PDF file.

    Raises:
        DataError: locked by a password, broken, too many pages, or no text on any.
    """
    require("pypdf", extra="knowledge")
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it mends what it can, and says so at length
    try:
        return _extracted(path, told)
    except PenjingError:
        raise
    except Exception as error:  # a broken file breaks the parser in ways without a class in common
        raise DataError(
            f"{path} cannot be read as PDF: {error or type(error).__name__}",
            expected="a whole PDF",
            do="Open it in a viewer; if it shows there, save it anew.",
        ) from error


def _extracted(path: Path, told: DocumentsRecipe) -> Extracted:
    from pypdf import PdfReader

    with path.open("rb") as file:
        reader = PdfReader(file)
        if reader.is_encrypted and not _opens(reader):
            raise DataError(f"{path} is encrypted", expected="a PDF that opens without a password", do=_UNLOCK)
        count = len(reader.pages)
        if count > told.max_pages:
            raise DataError(
                f"{path} has {count:,} pages",
                expected=f"at most {told.max_pages:,}",
                do="Split it, or raise documents.max_pages.",
            )
        builder, mute = TextBuilder(), []
        for number, page in enumerate(reader.pages, start=1):
            builder.page()
            text = page.extract_text().replace("\0", "")
            builder.block(text)
            if not text.strip():
                mute.append(number)
        title = str((reader.metadata.title if reader.metadata else None) or "").strip()
    found = builder.made(title)
    if not found.text.strip():
        raise DataError(
            f"{path} has {count:,} page{'s' if count != 1 else ''} and no text on any",
            expected="text, not pictures of it",
            do="Recognise the text first (for instance: ocrmypdf in.pdf out.pdf).",
        )
    return replace(found, notes=_notes(path, mute, count))


def _notes(path: Path, mute: Sequence[int], count: int) -> tuple[str, ...]:
    """What to say of pages without text: they may be blank, or pictures of text."""
    if not mute:
        return ()
    some = ", ".join(map(str, mute[:_TOLD])) + (", …" if len(mute) > _TOLD else "")
    return (f"{path}: no text on {len(mute):,} of {count:,} pages ({some}); pictures of text are not read",)


def _opens(reader: PdfReader) -> bool:
    """Whether an empty password will do, as it does for files that are locked against changes only."""
    from pypdf.errors import DependencyError

    try:
        return bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError):
        return False
