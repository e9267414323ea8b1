"""What a source string means: a file by its suffix, two aligned files, a folder, a named data set, ``hf:`` or
``sklearn:``.

A plain name of the registry wins over a file of that name; write ``./name`` for the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from penjing.core.errors import DataError, UsageError
from penjing.data.examples import Row
from penjing.data.named import DATA_SETS, named_file
from penjing.data.readers.aligned import read_aligned, two_files
from penjing.data.readers.columnar import read_arrow, read_parquet
from penjing.data.readers.conll import read_conll
from penjing.data.readers.delimited import read_csv, read_tsv
from penjing.data.readers.folder import read_folder
from penjing.data.readers.hub import hub_splits, read_hub
from penjing.data.readers.jsonl import read_json, read_json_lines
from penjing.data.readers.newsgroups import REMOVABLE, read_newsgroups
from penjing.data.readers.options import Reader, ReadOptions
from penjing.data.readers.orange import read_orange
from penjing.data.readers.squad import read_squad

_TEXT_READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_orange,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".conll": read_conll,
    ".iob": read_conll,
    ".bio": read_conll,
}
# What a recipe may call a format by, where the suffix does not say it.
FORMATS: dict[str, Reader] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "orange": read_orange,
    "jsonl": read_json_lines,
    "json": read_json,
    "squad": read_squad,
    "conll": read_conll,
    "parquet": read_parquet,
    "arrow": read_arrow,
}
READERS: dict[str, Reader] = {
    **_TEXT_READERS,
    **{f"{suffix}.gz": reader for suffix, reader in _TEXT_READERS.items()},
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}


def read_rows(source: str, role: str, options: ReadOptions) -> Iterator[Row]:
    """Rows of a source.

    Args:
        source: as written in a recipe.
        role: ``train``, ``validation`` or ``test``; chooses among splits that a source carries itself.
        options: for text files.

    Raises:
        DataError: no such file, an unknown suffix, or whatever the reader finds.
        UsageError: the source string is malformed.
        ResourceError: a package, the network or the registry is needed and missing.
    """
    if source in DATA_SETS:
        return _named_rows(source, role, options)
    if source.startswith("hf:"):
        asked = _parse_remote(source, keys=("split", "revision"))
        split = asked.query.get("split", role)
        return read_hub(asked.name, config=asked.config, split=split, revision=asked.query.get("revision"))
    if source.startswith("sklearn:"):
        return read_newsgroups(subset=_newsgroups_subset(source, role), remove=_removed(source))
    if (files := two_files(source)) and options.format is None:
        return read_aligned(*files, options)
    path = Path(source).expanduser()
    reader = FORMATS[options.format] if options.format and not path.is_dir() else _reader_for(path)
    return reader(path, options)


def own_splits(source: str) -> frozenset[str]:
    """Roles that a source carries itself beyond what it is asked for: none for files and folders."""
    if source in DATA_SETS:
        return frozenset(DATA_SETS[source])
    if source.startswith("sklearn:"):
        return frozenset({"train", "test"})
    if source.startswith("hf:"):
        asked = _parse_remote(source, keys=("split", "revision"))
        if "split" not in asked.query:
            return hub_splits(asked.name, config=asked.config, revision=asked.query.get("revision"))
    return frozenset()


@dataclass(frozen=True, slots=True)
class _Remote:
    name: str
    config: str | None
    query: dict[str, str]


def _parse_remote(source: str, *, keys: tuple[str, ...]) -> _Remote:
    """``scheme:name[:config][?key=value&…]`` in its parts."""
    name, _, query = source.partition(":")[2].partition("?")
    name, _, config = name.partition(":")
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    if not name or set(pairs) - set(keys) or (query and not pairs):
        raise UsageError(f"source {source!r}", expected=f"scheme:name[:config][?key=value], keys {', '.join(keys)}")
    return _Remote(name, config or None, pairs)


def _removed(source: str) -> tuple[str, ...]:
    words = tuple(word for word in _parse_remote(source, keys=("remove",)).query.get("remove", "").split(",") if word)
    if set(words) - set(REMOVABLE):
        raise UsageError(f"source {source!r}", expected=f"remove= with some of {','.join(REMOVABLE)}")
    return words


def _newsgroups_subset(source: str, role: str) -> str:
    asked = _parse_remote(source, keys=("remove",))
    if asked.name != "20newsgroups" or asked.config:
        raise UsageError(f"source {source!r}", expected="sklearn:20newsgroups")
    if role == "validation":
        raise UsageError(f"{source} has no validation split", expected="train or test", do="Set validation_fraction.")
    return role


def _named_rows(name: str, role: str, options: ReadOptions) -> Iterator[Row]:
    path = named_file(name, role)
    own = ReadOptions()  # these files are known to be UTF-8 with their own header, whatever the user's files are
    del options
    for row in _reader_for(path)(path, own):
        yield Row(row.fields, f"{name}/{Path(row.origin).name}")


def _reader_for(path: Path) -> Reader:
    if path.is_dir():
        return read_folder
    if not path.exists():
        raise DataError(
            f"{path} does not exist",
            expected=f"a file, a folder, one of {', '.join(DATA_SETS)}, hf:name or sklearn:20newsgroups",
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
    if ending not in READERS:
        raise DataError(
            f"{path} has the suffix {ending!r}" if ending else f"{path} has no suffix",
            expected=f"one of {', '.join(sorted(READERS))}",
            do="Save or rename the file so that its suffix names its format.",
        )
    return READERS[ending]
