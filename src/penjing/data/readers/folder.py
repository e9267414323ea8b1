"""A folder of texts: one subfolder a label, one file a text, in any suffix or none.

This is the layout of scikit-learn's ``load_files``. Hidden files, and files beside the label
folders, are passed over; everything else must decode, as there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import whole_text
from penjing.data.readers.options import ReadOptions


def read_folder(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows ``{"text", "label"}``, by name of label and file.

    Raises:
        DataError: no text in any subfolder, folders inside a label's folder, or bad bytes.
    """
    found = False
    for folder in _visible(path):
        if not folder.is_dir():
            continue
        for file in _visible(folder):
            if file.is_dir():
                raise _too_deep(path, folder)
            found = True
            yield Row({"text": whole_text(file, options), "label": folder.name}, f"{file}:1")
    if not found:
        raise DataError(
            f"folder {path} holds no text",
            expected="one subfolder a label with a file a text, such as spam/0001.txt",
        )


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder {folder} cannot be read: {error.strerror}", expected="a readable folder") from error


def _too_deep(path: Path, folder: Path) -> DataError:
    return DataError(
        f"{folder} holds folders where texts should be",
        expected=f"{path}/<label>/<text>",
        do=f"If {folder} is itself the folder of labels, name it as the source.",
    )
