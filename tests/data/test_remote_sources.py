"""Sources that libraries fetch: run against the real libraries, fed from local files, offline."""

from __future__ import annotations

import codecs
import importlib.util
import pickle

import numpy as np
import pytest

from penjing.core.errors import DataError, ResourceError, UsageError
from penjing.data.load import load_text_splits
from penjing.data.readers.hub import read_hub
from penjing.data.readers.newsgroups import read_newsgroups
from penjing.data.readers.options import ReadOptions
from penjing.data.recipe import DataRecipe
from penjing.data.sources import own_splits, read_rows

POST = "From: a@b\nSubject: moon\n\nJo writes:\n> old words\nnew words\n\n-- \nsignature"


@pytest.fixture
def newsgroups(tmp_path, monkeypatch):
    """scikit-learn's own cache, written as scikit-learn writes it."""
    utils = pytest.importorskip("sklearn.utils")
    names = ["rec.autos", "sci.space"]
    split = utils.Bunch(data=[POST, "vroom"], target=np.array([1, 0]), target_names=names, filenames=np.array(["", ""]))
    content = codecs.encode(pickle.dumps({"train": split, "test": split}), "zlib_codec")
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(content)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))


def test_newsgroups_by_scikit_learn(newsgroups):
    rows = list(read_rows("sklearn:20newsgroups", "train", ReadOptions()))
    assert [(row.fields["label"], row.fields["text"]) for row in rows] == [("sci.space", POST), ("rec.autos", "vroom")]
    assert rows[0].origin == "sklearn:20newsgroups/train:1"
    (bare, _) = read_rows("sklearn:20newsgroups?remove=headers,footers,quotes", "test", ReadOptions())
    assert str(bare.fields["text"]).strip() == "new words"


def test_newsgroups_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ResourceError, match="pip install scikit-learn"):
        list(read_newsgroups(subset="train"))


def test_newsgroups_that_cannot_be_downloaded(newsgroups, monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets")

    def unreachable(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "fetch_20newsgroups", unreachable)
    with pytest.raises(ResourceError, match=r"no route to host.*source 20newsgroups"):
        list(read_newsgroups(subset="train"))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("sklearn:iris", "expected sklearn:20newsgroups"),
        ("sklearn:20newsgroups?remove=words", "remove= with some of headers,footers,quotes"),
        ("sklearn:20newsgroups?drop=headers", "keys remove"),
        ("hf:", "scheme:name"),
        ("hf:imdb?splt=train", "keys split, revision"),
        ("hf:imdb?train", "keys split, revision"),
    ],
)
def test_malformed_sources(source, says):
    with pytest.raises(UsageError, match=says):
        list(read_rows(source, "train", ReadOptions()))


def test_newsgroups_have_no_validation():
    with pytest.raises(UsageError, match=r"no validation split.*validation_fraction"):
        list(read_rows("sklearn:20newsgroups", "validation", ReadOptions()))
    assert own_splits("sklearn:20newsgroups") == {"train", "test"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A data set in the hub's layout on disk, with the library offline and its cache elsewhere."""
    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        datasets = pytest.importorskip("datasets")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["差", "好"])}
        )
        for split in ("train", "test"):
            texts = {
                "text": [f"{split} 一 🙂", f"{split} 二", f"{split} 三"],
                "label": [1, 0, -1 if split == "test" else 1],
            }
            (folder / "set").mkdir(exist_ok=True)
            datasets.Dataset.from_dict(texts, features=features).to_parquet(folder / "set" / f"{split}.parquet")
        yield f"hf:{folder / 'set'}"


def test_hub_labels_have_their_names_and_splits_their_roles(hub):
    recipe = DataRecipe(train=hub, on_unlabelled="drop")
    data = load_text_splits(recipe)
    assert [(e.text, e.label) for e in data.train.examples] == [
        ("train 一 🙂", "好"),
        ("train 二", "差"),
        ("train 三", "好"),
    ]
    assert [(e.text, e.label) for e in data.test.examples] == [("test 一 🙂", "好"), ("test 二", "差")]
    assert data.test.examples[0].origin == f"{hub}/test:1"
    assert data.report.splits[1].unlabelled_dropped == 1


def test_hub_split_by_name(hub):
    assert own_splits(hub) == {"train", "test"}
    assert own_splits(f"{hub}?split=train") == frozenset()
    assert next(read_rows(f"{hub}?split=test", "train", ReadOptions())).fields["text"] == "test 一 🙂"


def test_hub_faults(hub):
    with pytest.raises(DataError, match=r"Unknown split.*\['train', 'test'\]"):
        list(read_rows(f"{hub}?split=dev", "train", ReadOptions()))
    with pytest.raises(DataError, match="'zz' not found"):
        list(read_rows(f"{hub}:zz", "train", ReadOptions()))
    with pytest.raises(ResourceError, match=r"'hf:nobody/nothing' cannot be loaded.*local files"):
        list(read_hub("nobody/nothing", config=None, split="train", revision=None))
