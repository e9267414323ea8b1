"""PDF by pypdf: the text of each page. A page that is a picture has none; a file of such pages is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.core.errors import DataError, PenjingError
from penjing.core.extras import require
from penjing.knowledge.documents import Extracted, TextBuilder
from penjing.knowledge.recipe import DocumentsRecipe

if TYPE_CHECKING:
    from pypdf import PdfReader

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
        builder = TextBuilder()
        for page in reader.pages:
            builder.page()
            builder.block(page.extract_text().replace("\0", ""))
        title = str((reader.metadata.title if reader.metadata else None) or "").strip()
    found = builder.made(title)
    if not found.text.strip():
        raise DataError(
            f"{path} has {count:,} page{'s' if count != 1 else ''} and no text on any",
            expected="text, not pictures of it",
            do="Recognise the text first (for instance: ocrmypdf in.pdf out.pdf).",
        )
    return found


def _opens(reader: PdfReader) -> bool:
    """Whether an empty password will do, as it does for files that are locked against changes only."""
    from pypdf.errors import DependencyError

    try:
        return bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError):
        return False
