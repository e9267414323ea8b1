"""Plain text: as it stands."""

from __future__ import annotations

from pathlib import Path

from penjing.knowledge.documents import Extracted
from penjing.knowledge.recipe import DocumentsRecipe


def read_text(path: Path, told: DocumentsRecipe) -> Extracted:
    """A text file.

    Raises:
        DataError: bytes that are not in its encoding; says which.
    """
    return Extracted(decoded(path, told))


def decoded(path: Path, told: DocumentsRecipe) -> str:
    """All characters of a file. See :func:`penjing.data.readers.decode.whole_text`."""
    from penjing.data.readers.decode import whole_text  # the server, which reads no files, loads no readers
    from penjing.data.readers.options import ReadOptions

    return whole_text(path, ReadOptions(encoding=told.encoding, encoding_errors=told.encoding_errors))
