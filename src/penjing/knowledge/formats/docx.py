"""DOCX by python-docx: paragraphs, headings and tables in their order.

Promise: what a file says it unpacks to is known before any of it is unpacked, and is under the limit.
"""

from __future__ import annotations

import zipfile
from itertools import groupby
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError, PenjingError
from penjing.core.extras import require
from penjing.knowledge.documents import Extracted, TextBuilder
from penjing.knowledge.recipe import DocumentsRecipe

_OLE = b"\xd0\xcf\x11\xe0"  # what old .doc files, and .docx locked by a password, begin with


def read_docx(path: Path, told: DocumentsRecipe) -> Extracted:
    """A DOCX file.

    Raises:
        DataError: broken, locked, or it would unpack to more than is allowed.
    """
    docx = require("docx", extra="knowledge")
    try:
        _check_unpacked(path, told)
        document = docx.Document(str(path))
        builder = TextBuilder()
        _take(document, builder)
        return builder.made(str(document.core_properties.title or "").strip())
    except PenjingError:
        raise
    except Exception as error:  # zip, XML and the relations between parts each break in their own way
        raise DataError(
            f"{path} cannot be read as DOCX: {error or type(error).__name__}",
            expected="a whole .docx",
            do="Open it in an office program, and save it anew.",
        ) from error


def _check_unpacked(path: Path, told: DocumentsRecipe) -> None:
    with path.open("rb") as file:
        if file.read(4) == _OLE:
            raise DataError(
                f"{path} is locked by a password, or an old .doc under another name",
                expected="a .docx that opens without a password",
                do="Save it as .docx without a password.",
            )
    with zipfile.ZipFile(path) as packed:  # reads no more of a part than it is said to have
        unpacked = sum(part.file_size for part in packed.infolist())
    if unpacked > told.max_file_mib * (1 << 20):
        raise DataError(
            f"{path} would unpack to {unpacked / (1 << 20):,.0f} MiB",
            expected=f"at most {told.max_file_mib:g}",
            do="If the file can be trusted, raise documents.max_file_mib.",
        )


def _take(document: Any, builder: TextBuilder) -> None:
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            for row in block.rows:
                cells = [text for text, _ in groupby(" ".join(cell.text.split()) for cell in row.cells)]
                builder.block(" | ".join(cells))  # a merged cell comes once for each column that it covers
        else:
            style = block.style.name if block.style is not None else ""
            builder.block(block.text, is_heading=str(style).startswith(("Heading", "Title")))
