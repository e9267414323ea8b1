from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from penjing.core.errors import StoreError
from penjing.store import Store
from penjing.store.manifest import is_plain_name
from store.making import ENGINE, draft, fill, litter


def _zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def _safetensors(header_length: int) -> bytes:
    return struct.pack("<Q", header_length) + b"{" + b" " * (header_length - 2) + b"}"


# file, content, why it is refused (None: it is not)
FILES = [
    ("checkpoint/pytorch_model.bin", b"", "suffix .bin"),
    ("checkpoint/model.PT", b"", "suffix .PT"),
    ("checkpoint/model.pth", b"", "suffix .pth"),
    ("checkpoint/last.ckpt", b"", "suffix .ckpt"),
    ("vectors.pkl", b"", "suffix .pkl"),
    ("vectors.pickle", b"", "suffix .pickle"),
    ("vectors.joblib", b"", "suffix .joblib"),
    ("engine/other.bin", b"", "suffix .bin"),
    ("checkpoint/deep/model.bin", b"", "suffix .bin"),
    *[(f"weights{protocol}.dat", pickle.dumps([1], protocol), "begins as a pickle") for protocol in (2, 3, 4, 5)],
    ("model.safetensors", pickle.dumps({"a": 1}, 2), "begins as a pickle"),
    ("engine/model.bin", pickle.dumps([1]), "begins as a pickle"),
    ("weights.dat", _zip("archive/data.pkl", "archive/data/0"), "zip archive with the pickle archive/data.pkl"),
    ("prefixed.dat", b"#!/bin/sh\n" + _zip("data.pkl"), "zip archive with the pickle data.pkl"),
    ("bundle.json", b"{}", "written by the store itself"),
    ("bundle.sig", b"", "written by the store itself"),
    ("a\nb", b"", "not a plain file name"),
    ("a\\b", b"", "not a plain file name"),
    (os.fsdecode(b"\xff"), b"", "not a plain file name"),
    ("report.zip", _zip("report.html"), None),
    ("broken.zip", b"PK\x03\x04" + b"x" * 100 + b"PK\x05\x06" + b"\0" * 18, None),
    ("checkpoint/pytorch_model.bin.index.json", b"{}", None),
    ("engine/deep/model.bin", b"", "suffix .bin"),
    ("checkpoint/short.safetensors", _safetensors(0x280), None),  # the length reads 80 02, as a pickle does
    ("checkpoint/long.safetensors", _safetensors(0x280280), None),
    ("empty", b"", None),
    ("Größe 体.txt", b"", None),
]


@pytest.mark.parametrize(("content", "why"), [(b"\6\0\0\0", None), (pickle.dumps([1]), "begins as a pickle")])
def test_weights_of_an_engine_that_writes_lie_beside_what_says_how_to_ask_it(tmp_path, content, why):
    with Store(tmp_path).stage("writer") as staging:
        fill(staging.path)
        (staging.path / "engine" / "writer").mkdir(parents=True)
        (staging.path / "engine" / "writer" / "generator.json").write_bytes(b"{}")
        (staging.path / "engine" / "writer" / "model.bin").write_bytes(content)
        if why is None:
            staging.publish(draft(ENGINE)).verify()
        else:
            with pytest.raises(StoreError, match=why):
                staging.publish(draft(ENGINE))


@pytest.mark.parametrize(("name", "content", "why"), FILES, ids=[repr(name) for name, _, _ in FILES])
def test_files_that_may_and_may_not_be_published(tmp_path: Path, name: str, content: bytes, why: str | None) -> None:
    store = Store(tmp_path)
    with store.stage("newsgroups") as staging:
        fill(staging.path)
        (staging.path / name).parent.mkdir(parents=True, exist_ok=True)
        (staging.path / name).write_bytes(content)
        if why is None:
            staging.publish(draft(ENGINE)).verify()
        else:
            with pytest.raises(StoreError, match=why):
                staging.publish(draft(ENGINE))

    assert (store.models() == []) == (why is not None)
    assert litter(tmp_path) == []


def test_links_and_devices_are_refused_together(tmp_path: Path) -> None:
    with Store(tmp_path).stage("newsgroups") as staging:
        fill(staging.path)
        (staging.path / "link").symlink_to("checkpoint/tokenizer.json")
        (staging.path / "folder").symlink_to("checkpoint")
        (staging.path / "dangling").symlink_to("nowhere")
        os.mkfifo(staging.path / "pipe")
        with pytest.raises(StoreError) as caught:
            staging.publish(draft())

    for name in ("link", "folder", "dangling", "pipe"):
        assert f"{name} is neither a file nor a directory" in caught.value.came


def test_an_empty_bundle_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path).stage("newsgroups") as staging:
        (staging.path / "checkpoint").mkdir()
        with pytest.raises(StoreError, match="it holds no file"):
            staging.publish(draft())


@pytest.mark.parametrize("name", ["../1/checkpoint/tokenizer.json", "/etc/hostname", "checkpoint/absent.json"])
def test_a_file_that_the_draft_names_must_be_there(tmp_path: Path, name: str) -> None:
    with Store(tmp_path).stage("newsgroups") as staging:
        fill(staging.path)
        with pytest.raises(StoreError, match=f"text.tokenizer names '{name}', which the bundle lacks"):
            staging.publish(draft(tokenizer=name))
        engine = ENGINE.model_copy(update={"file": name})
        with pytest.raises(StoreError, match=f"engine.file names '{name}', which the bundle lacks"):
            staging.publish(draft(engine))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *((name, True) for name in ("a", "a/b.c", "a/..b")),
        *((name, False) for name in ("", ".", "/a", "a//b", "a/", "./a", "..", "a/../b", "a\0", "a\\b")),
    ],
)
def test_plain_names(name: str, plain: bool) -> None:
    assert is_plain_name(name) == plain
