"""From bytes to text: encodings, byte order marks, gzip, and the errors that name a byte.

Promise: bytes that do not decode are an error with file, line and offset unless the caller asked
for replacement. The happy path reads the file once; only after a failure is it read again, to
count lines up to the bad byte.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from penjing.core.errors import DataError
from penjing.data.readers.options import ReadOptions

MAX_LINE_CHARS = 1 << 26
MAX_WHOLE_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 16
_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's, so it is tried first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_lines(path: Path, options: ReadOptions) -> Iterator[str]:
    """Lines with their ends, decoded.

    Raises:
        DataError: unreadable, undecodable, a NUL character, or a line beyond ``MAX_LINE_CHARS``.
    """
    with _open_bytes(path) as raw:
        encoding = _encoding_of(raw, options)
        with io.TextIOWrapper(raw, encoding, options.encoding_errors, newline="") as text:
            try:
                for number, line in enumerate(iter(lambda: text.readline(MAX_LINE_CHARS + 1), ""), start=1):
                    _check_line(path, number, line)
                    yield line
            except UnicodeDecodeError as error:
                raise _undecodable(path, encoding, *_first_bad_byte(path, encoding)) from error


def whole_text(path: Path, options: ReadOptions) -> str:
    """A file's text in one piece.

    Raises:
        DataError: unreadable, undecodable, a NUL character, or over ``MAX_WHOLE_BYTES``.
    """
    with _open_bytes(path) as raw:
        encoding = _encoding_of(raw, options)
        blob = raw.read(MAX_WHOLE_BYTES + 1)
    if len(blob) > MAX_WHOLE_BYTES:
        raise DataError(
            f"{path} holds more than {MAX_WHOLE_BYTES >> 20} MiB in one piece",
            expected="less",
            do="Use JSON lines (.jsonl), which are read one at a time.",
        )
    try:
        text = blob.decode(encoding, options.encoding_errors)
    except UnicodeDecodeError as error:
        raise _undecodable(path, encoding, *_first_bad_byte(path, encoding)) from error
    if "\0" in text:
        raise _nul(path, text.count("\n", 0, text.index("\0")) + 1)
    return text


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryIO]:
    """A file, unpacked if it ends in ``.gz``; what the system refuses becomes a DataError."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a file", expected="a regular file, not a folder, pipe or device")
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as raw:
            yield cast("BinaryIO", raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is not whole gzip: {error}", expected="a .gz file from end to end", do="Copy or pack it again."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", expected="a readable file") from error


def _encoding_of(raw: BinaryIO, options: ReadOptions) -> str:
    head = raw.read(4)
    raw.seek(0)
    asked = codecs.lookup(options.encoding).name if options.encoding else None
    if asked not in (None, "utf-8"):
        return str(asked)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    return marked if marked and asked is None else "utf-8-sig"


def _check_line(path: Path, number: int, line: str) -> None:
    if "\0" in line:
        raise _nul(path, number)
    if len(line) > MAX_LINE_CHARS:
        raise DataError(
            f"{path}:{number} runs past {MAX_LINE_CHARS:,} characters",
            expected="shorter lines",
            do="Check that the file has line ends and is of the format that its suffix names.",
        )


def _nul(path: Path, line: int) -> DataError:
    return DataError(
        f"{path}:{line} holds a NUL character",
        expected="text",
        do="If it is UTF-16 without a byte order mark, set encoding: utf-16-le; if it is binary, export it as text.",
    )


def _undecodable(path: Path, encoding: str, line: int, offset: int) -> DataError:
    with _open_bytes(path) as raw:
        raw.seek(offset)
        found = raw.read(1)
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    came = f"byte 0x{found.hex()} at offset {offset}" if found else f"the end, at offset {offset},"
    return DataError(
        f"{path}:{line}: {came} is not {name}",
        expected=f"{name} text",
        do="Save the file as UTF-8, set encoding: to what it is (such as gb18030 or cp1252), "
        "or set encoding_errors: replace.",
    )


def _first_bad_byte(path: Path, encoding: str) -> tuple[int, int]:
    """Line (from 1) and byte offset (from 0, after unpacking) of what does not decode."""
    # utf-8-sig counts offsets from behind the mark; plain utf-8 decodes the mark as a character
    decoder = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)("strict")
    line, before = 1, 0
    with _open_bytes(path) as raw:
        while True:
            block = raw.read(_BLOCK_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start), before - waiting + error.start
            if not block:
                return line, before
            before += len(block)
