from __future__ import annotations

import pytest

from penjing.core.errors import DataError, ResourceError
from penjing.data.readers import columnar
from penjing.data.readers.columnar import read_arrow, read_parquet
from penjing.data.readers.options import ReadOptions

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PLAIN = ReadOptions()
TEXTS = [f"文本 {number} 🙂" for number in range(2500)]


@pytest.fixture
def table():
    return pyarrow.table({"text": TEXTS, "label": [number % 3 for number in range(2500)]})


def test_parquet(table, tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    rows = list(read_parquet(path, PLAIN))
    assert [row.fields["text"] for row in rows] == TEXTS
    assert (rows[2000].fields["label"], rows[2000].origin) == (2000 % 3, f"{path}:2001")


@pytest.mark.parametrize("form", ["file", "stream"])
def test_arrow(table, tmp_path, form):
    path = tmp_path / "a.arrow"
    opener = pyarrow.ipc.new_file if form == "file" else pyarrow.ipc.new_stream
    with opener(path, table.schema) as sink:
        sink.write_table(table)
    assert [row.fields["text"] for row in read_arrow(path, PLAIN)] == TEXTS


def test_no_rows(table, tmp_path):
    parquet.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert list(read_parquet(tmp_path / "a.parquet", PLAIN)) == []


@pytest.mark.parametrize("reader", [read_parquet, read_arrow])
@pytest.mark.parametrize("content", [b"", b"text,label\na,1\n", b"ARROW1 and then nothing", b"PAR1PAR1"])
def test_what_is_not_the_format(write, reader, content):
    path = write("a.parquet", content)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read after row 0.*suffix"):
        list(reader(path, PLAIN))


def test_a_file_cut_off(table, tmp_path):
    path = tmp_path / "a.arrow"
    with pyarrow.ipc.new_stream(path, table.schema) as sink:
        sink.write_table(table, max_chunksize=100)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(DataError, match="cannot be read after row"):
        list(read_arrow(path, PLAIN))


def test_without_pyarrow_the_extra_is_named(write, monkeypatch):
    def absent(module, *, extra):
        raise ResourceError(f"package '{module}' is not installed", do=f"Run: pip install 'penjing[{extra}]'")

    monkeypatch.setattr(columnar, "require", absent)
    with pytest.raises(ResourceError, match=r"penjing\[data\]"):
        list(read_parquet(write("a.parquet", b""), PLAIN))
