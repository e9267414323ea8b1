"""Plain text for pretraining: documents one at a time, whatever their number.

A document is a paragraph, a line or a whole file of a text file, or a row of any table. Promise: memory holds
one document at a time, and what is held out is decided by the text itself, so that copies of a document are
never on both sides and a stream need not be known to its end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from penjing.core.errors import DataError
from penjing.core.files import digest, sha256_file
from penjing.core.nouns import Frozen
from penjing.data.overlap import text_key
from penjing.data.readers.decode import text_lines, whole_text
from penjing.data.readers.options import ReadOptions
from penjing.data.recipe import DataRecipe, Fraction, Rows, Source
from penjing.data.sources import READERS, read_rows
from penjing.data.text import unlabelled_texts

PLAIN = (".txt", ".text", ".md", ".raw", ".tokens")
_LONGEST = 1 << 24  # characters of a document gathered from lines; a longer one goes on as the next
Role = Literal["train", "validation", "test"]


class CorpusRecipe(Frozen):
    """Text without labels, to pretrain on.

    A source is a text file (``.txt .text .md .raw .tokens``, each also with ``.gz``), any file of which
    ``penjing finetune`` takes rows, a folder of all these at any depth, or ``hf:name[:config]``.

    Attributes:
        train: source of the text.
        test: source of held-out text; None holds documents of ``train`` out.
        held_out: share of the documents held out, for judging and, where training looks at it, for that too.
        documents: what one is in a text file: a ``paragraph`` between blank lines, a ``line``, or the ``file``.
        text: column of a table; None looks for the usual ones.
        encoding: of text files; None is UTF-8, or UTF-16 or UTF-32 where a byte order mark says so.
        encoding_errors: ``replace`` puts U+FFFD for undecodable bytes.
        delimiter: of CSV files, one character; None goes by the file's suffix.
        limit_test_documents: at most this many of the held-out ones, the first.
    """

    train: Source
    test: Source | None = None
    held_out: Fraction = 0.02
    documents: Literal["paragraph", "line", "file"] = "paragraph"
    text: str | None = None
    encoding: str | None = None
    encoding_errors: Literal["error", "replace"] = "error"
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    limit_test_documents: Rows = 500

    @property
    def rows(self) -> DataRecipe:
        """How to read tables."""
        return DataRecipe(
            train=self.train,
            text=self.text,
            encoding=self.encoding,
            encoding_errors=self.encoding_errors,
            delimiter=self.delimiter,
        )


def documents(recipe: CorpusRecipe, role: Role, *, seed: int, validates: bool = False) -> Iterator[str]:
    """The documents of a role, blank ones left out, in the order of the source.

    Args:
        recipe: where they are.
        role: which of them.
        seed: of what is held out.
        validates: whether some are held out for looks at them while training.

    Raises:
        DataError: whatever is wrong with the source.
    """
    if role == "test" and recipe.test is not None:
        yield from _all(recipe.test, recipe)
        return
    for document in _all(recipe.train, recipe):
        if _role_of(document, recipe, seed=seed, validates=validates) == role:
            yield document


def source_digest(recipe: CorpusRecipe) -> str:
    """What identifies the text: the content of files; of a source elsewhere its name."""
    found = {}
    for source in (recipe.train, recipe.test):
        path = Path(source).expanduser() if source else None
        if path is not None and path.exists():
            found[str(source)] = [sha256_file(file) for file in _files(path)]
    return digest(found)


def _role_of(document: str, recipe: CorpusRecipe, *, seed: int, validates: bool) -> Role:
    """By the text: a number in 0..1 that the seed and the text give."""
    drawn = hashlib.blake2b(text_key((document,)), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    at = int.from_bytes(drawn, "big") / 2**64
    if recipe.test is None:
        if at < recipe.held_out:
            return "test"
        at -= recipe.held_out
    return "validation" if validates and at < recipe.held_out else "train"


def _all(source: str, recipe: CorpusRecipe) -> Iterator[str]:
    path = Path(source).expanduser()
    if path.is_dir():
        for file in _files(path):
            yield from _of_file(str(file), recipe)
    else:
        yield from _of_file(source, recipe)


def _of_file(source: str, recipe: CorpusRecipe) -> Iterator[str]:
    path = Path(source).expanduser()
    if path.is_file() and _is_plain(path):
        yield from (document for document in _plain(path, recipe) if document.strip())
        return
    rows = recipe.rows
    for example in unlabelled_texts(read_rows(source, "train", rows.reading), source, rows):
        if example.text.strip():
            yield example.text


def _plain(path: Path, recipe: CorpusRecipe) -> Iterator[str]:
    options = recipe.rows.reading
    if recipe.documents == "file":
        yield whole_text(path, options)
    elif recipe.documents == "line":
        yield from text_lines(path, options)
    else:
        yield from _paragraphs(path, options)


def _paragraphs(path: Path, options: ReadOptions) -> Iterator[str]:
    gathered: list[str] = []
    size = 0
    for line in text_lines(path, options):
        if not line.strip() or size > _LONGEST:
            yield "".join(gathered)
            gathered, size = [], 0
        gathered.append(line)
        size += len(line)
    yield "".join(gathered)


def _files(path: Path) -> list[Path]:
    """A file itself, or all usable files in a folder, by name."""
    if path.is_file():
        return [path]
    found = [
        Path(folder) / name
        for folder, _, names in os.walk(path)
        for name in names
        if not name.startswith(".") and (_is_plain(Path(name)) or Path(name).suffix.lower() in READERS)
    ]
    if not found:
        raise DataError(
            f"folder {path} holds no text", expected=f"files that end in {', '.join((*PLAIN, '.jsonl', '.parquet'))}"
        )
    return sorted(found)


def _is_plain(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return (suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]) in [[one] for one in PLAIN]
