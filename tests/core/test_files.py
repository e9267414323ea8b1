from __future__ import annotations

import errno
from pathlib import Path

import pytest

from penjing.core.errors import ResourceError
from penjing.core.files import canonical_json, digest, rename_new, sha256_file, staged_directory, write_atomically

# SHA-256 of the empty string and of "abc": FIPS 180-4
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("content", "expected"), [(b"", EMPTY), (b"abc", ABC)])
def test_sha256_of_a_file(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "file").write_bytes(content)

    assert sha256_file(tmp_path / "file") == expected


def test_equal_values_have_one_canonical_form() -> None:
    assert canonical_json({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"

    write_atomically(file, b"one")
    write_atomically(file, b"two")

    assert file.read_bytes() == b"two"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_refused_write_keeps_the_former_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"one")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match=r"No space left on device.*Free space"):
        write_atomically(tmp_path / "file", b"two")

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]


def test_a_staged_directory_appears_at_the_end(tmp_path: Path) -> None:
    with staged_directory(tmp_path / "target") as beside:
        (beside / "inner").mkdir()
        (beside / "inner" / "file").write_bytes(b"content")
        assert not (tmp_path / "target").exists()

    assert (tmp_path / "target" / "inner" / "file").read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize(
    ("raised", "seen"), [(ValueError, ValueError), (FileNotFoundError, FileNotFoundError), (KeyboardInterrupt,) * 2]
)
def test_a_staged_directory_that_fails_leaves_nothing(tmp_path: Path, raised: type, seen: type) -> None:
    with pytest.raises(seen), staged_directory(tmp_path / "target") as beside:  # noqa: PT012
        (beside / "file").touch()
        raise raised

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_from_a_staged_directory(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"writing .*target failed"), staged_directory(tmp_path / "target"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_staged_directory_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), staged_directory(tmp_path / "target") as beside:  # noqa: PT012
        (beside / "file").touch()
        write_atomically(tmp_path / "target" / "file", b"theirs")

    assert (tmp_path / "target" / "file").read_bytes() == b"theirs"


def test_rename_takes_no_file_for_free(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "folder", tmp_path / "file")
