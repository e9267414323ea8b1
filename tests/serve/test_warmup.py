"""Recorded requests are answered before a version is available; a file that does not fit fails it."""

from __future__ import annotations

import json
import struct

import pytest

from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.grpc.messages import message
from penjing.serve.models import Models
from penjing.serve.recipe import ServeRecipe
from penjing.serve.versions import State
from penjing.serve.warmup import recorded
from penjing.store.store import Store
from serve.doubles import FakeEngine, publish

LINES = ['"w1 w2 w3"', '["w1", "w2"]', '{"text": "w5"}', '{"input_ids": [7, 9, 11]}', "", '"杭州"']


class Counting(FakeEngine):
    """Notes the sequences it is asked."""

    def run(self, batch):
        self.asked = [*getattr(self, "asked", []), batch.input_ids[batch.input_ids > 0].tolist()]
        return super().run(batch)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    publish(store)
    return store


def loaded(store, **told):
    engine = Counting(instances=1)
    recipe = ServeRecipe.model_validate({"poll_s": None} | told)
    models = Models(StoreCatalogue(store), recipe, open_with=lambda _bundle, _recipe: engine)
    models.reconcile()
    version = models.shelf("m").versions[1]
    models.close()
    return version, [asked for asked in getattr(engine, "asked", []) if asked]


def log(**inputs):
    """A record of a request to predict."""
    record = message("tensorflow.serving.PredictionLog")()
    request = record.predict_log.request
    request.model_spec.name = "m"
    for name, values in inputs.items():
        tensor = request.inputs[name]
        is_text = isinstance(values[0], str)
        tensor.dtype = 7 if is_text else 9
        tensor.tensor_shape.dim.add(size=len(values) if is_text else 1)
        if is_text:
            tensor.string_val.extend(value.encode() for value in values)
        else:
            tensor.tensor_shape.dim.add(size=len(values))
            tensor.int64_val.extend(values)
    return record.SerializeToString()


def records(*contents):
    return b"".join(struct.pack("<QI", len(one), 0) + one + bytes(4) for one in contents)


def test_lines_of_texts_are_run_before_the_version_is_available(store, tmp_path):
    file = tmp_path / "asked.jsonl"
    file.write_text("\n".join(LINES), encoding="utf-8")
    version, asked = loaded(store, warmup={"m": file})
    assert version.error is None
    assert asked[-5:] == [[2, 7, 8, 9, 3], [2, 7, 3, 8, 3], [2, 11, 3], [7, 9, 11], [2, 1, 3]]


def test_tensorflow_servings_records_are_run(store, tmp_path):
    examples = message("tensorflow.serving.PredictionLog")()
    example = examples.classify_log.request.input.example_list.examples.add()
    example.features.feature["text"].bytes_list.value.append(b"w1")
    file = tmp_path / "tf_serving_warmup_requests"
    file.write_bytes(
        records(log(text=["w1 w2", "w3"]), log(input_ids=[7, 9], attention_mask=[1, 1]), examples.SerializeToString())
    )
    version, asked = loaded(store, warmup={"m": file})
    assert version.error is None
    assert asked[-4:] == [[2, 7, 8, 3], [2, 9, 3], [7, 9], [2, 7, 3]]


def test_a_version_brings_its_own(store, tmp_path):
    with store.stage("m") as staging:
        old = store.bundle("m", 1)
        for name in old.manifest.files:
            (staging.path / name).parent.mkdir(parents=True, exist_ok=True)
            (staging.path / name).write_bytes(old.file(name).read_bytes())
        (staging.path / "warmup.jsonl").write_text(LINES[0])
        bundle = staging.publish(old.manifest.draft())
    answering = type("Answering", (), {"encode": lambda _self, texts: type("A", (), {"sequences": list(texts)})})()
    assert recorded(bundle, ServeRecipe(), answering) == ["w1 w2 w3"]
    assert recorded(store.bundle("m", 1), ServeRecipe(), answering) == []


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.jsonl", b'"w1"\n{"text": ', "after request 1"),
        ("a.jsonl", b'{"words": ["w1"]}', "is no text"),
        ("a.jsonl", b"[1, 2]", "is no text"),
        ("a.jsonl", json.dumps({"input_ids": [10**6]}).encode(), "token id"),
        ("a.jsonl", json.dumps({"input_ids": [7] * 99}).encode(), "1 to 16 tokens"),
        ("a.jsonl", b"\xff\xfe", "codec"),
        ("records", b"\x05\0\0", "cut off"),
        ("records", struct.pack("<QI", 2**60, 0), "cut off"),
        ("records", records(b"\xff\xff\xff"), "cannot be read"),
        ("records", records(b""), "no request"),
        ("records", records(log(other=["x"])), "none of the inputs"),
    ],
)
def test_a_file_that_does_not_fit_fails_the_version_and_says_where(store, tmp_path, name, content, match):
    file = tmp_path / name
    file.write_bytes(content)
    version, _ = loaded(store, warmup={"m": file})
    assert version.state is State.END
    assert match in str(version.error)


def test_a_file_that_is_not_there(store, tmp_path):
    version, _ = loaded(store, warmup={"m": tmp_path / "none.jsonl"})
    assert "No such file" in str(version.error)
