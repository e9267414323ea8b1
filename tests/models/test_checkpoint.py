"""Checkpoint directories: what is accepted, what is refused and in which words, and what is copied."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest

from app.world import make_tokenizer, shared_world
from penjing.core.errors import CheckpointError
from penjing.models.checkpoint import Checkpoint, copy_checkpoint, find_checkpoint, inspect_checkpoint


class Bomb:
    """Fails the test that unpickles it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was opened')",)


@pytest.fixture
def checkpoint(tmp_path, tmp_path_factory) -> Path:
    """A fresh copy of a good checkpoint."""
    return shutil.copytree(shared_world(tmp_path_factory).checkpoint, tmp_path / "checkpoint")


def config(path, **changes):
    values = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(values))


def shard(path, names=("one.safetensors", "two.safetensors"), drop=()):
    """Split model.safetensors in two, with an index."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    where = {name: names[at % 2] for at, name in enumerate(sorted(weights))}
    for file in set(names):
        save_file({name: weights[name] for name in weights if where[name] == file and name not in drop}, path / file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def index(path, content):
    shard(path)
    (path / "model.safetensors.index.json").write_text(content)


def header(path, change):
    """Rewrite the header of model.safetensors; ``change`` edits its entries in place."""
    file = path / "model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    change(entries)
    raw = json.dumps(entries).encode()
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + content[8 + length :])


def reach_further(entries):
    next(entry for name, entry in entries.items() if name != "__metadata__")["data_offsets"][1] += 1 << 40


def only_pickled(path):
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


def truncate(path, *, to):
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[:to])


def rewrite(path, name, content):
    (path / name).write_bytes(content)


def become_directory(path, name):
    (path / name).unlink()
    (path / name).mkdir()


def dangle(path, name):
    (path / name).unlink()
    (path / name).symlink_to(path / "nowhere")


def remove(path, name):
    (path / name).unlink()


BAD = {
    "no config": (lambda p: remove(p, "config.json"), r"lacks config\.json; expected config\.json, model"),
    "no weights": (lambda p: remove(p, "model.safetensors"), r"lacks model\.safetensors.*save_pretrained"),
    "no tokenizer": (lambda p: remove(p, "tokenizer.json"), r"lacks tokenizer\.json"),
    "a link to nowhere": (lambda p: dangle(p, "model.safetensors"), r"lacks model\.safetensors"),
    "a directory for a file": (lambda p: become_directory(p, "config.json"), r"lacks config\.json"),
    "only weights of an adapter": (
        lambda p: (p / "model.safetensors").rename(p / "adapter_model.safetensors"),
        r"lacks model\.safetensors",
    ),
    "pickled weights only": (only_pickled, r"pickled weights \(pytorch_model\.bin\), which can run.*save_pretrained"),
    "cut within the header's length": (lambda p: truncate(p, to=5), r"not a safetensors file"),
    "cut within the header": (lambda p: truncate(p, to=100), r"not a safetensors file: header of \d+ bytes in a file"),
    "cut within the data": (
        lambda p: truncate(p, to=20_000),
        r"has 20000 bytes, its header promises \d+.*copy it again",
    ),
    "no byte of weights": (lambda p: truncate(p, to=0), r"not a safetensors file"),
    "weights that are text": (lambda p: rewrite(p, "model.safetensors", b"version https://git-lfs"), r"not a safetens"),
    "a header that is a list": (lambda p: rewrite(p, "model.safetensors", b"\2" + bytes(7) + b"[]"), r"not a safetens"),
    "a header that reaches too far": (lambda p: header(p, reach_further), r"its header promises"),
    "config that is no JSON": (lambda p: rewrite(p, "config.json", b"{"), r"config\.json is not JSON.*Copy it again"),
    "config that is no UTF-8": (lambda p: rewrite(p, "config.json", b"\xff\xfe"), r"config\.json is not JSON"),
    "config that is a list": (lambda p: rewrite(p, "config.json", b"[]"), r"names no model_type"),
    "no model type": (lambda p: rewrite(p, "config.json", b"{}"), r"names no model_type; expected a Transformers"),
    "positions that are no number": (
        lambda p: config(p, max_position_embeddings="many"),
        r"max_position_embeddings 'many'; expected a whole number",
    ),
    "a negative padding token": (lambda p: config(p, pad_token_id=-1), r"has pad_token_id -1"),
    "tokenizer that is no JSON": (lambda p: rewrite(p, "tokenizer.json", b"{"), r"tokenizer .* cannot be read"),
    "tokenizer that is another thing": (lambda p: rewrite(p, "tokenizer.json", b"{}"), r"tokenizer .* cannot be read"),
    "an index of nothing": (lambda p: index(p, "{}"), r"is not a weight index; expected a weight_map"),
    "an index that is a list": (lambda p: index(p, '{"weight_map": []}'), r"is not a weight index"),
    "an index of numbers": (lambda p: index(p, '{"weight_map": {"a": 1}}'), r"is not a weight index"),
    "an index that leads outside": (
        lambda p: index(p, '{"weight_map": {"a": "../other/model.safetensors"}}'),
        r"points outside the checkpoint \(\.\./other/model\.safetensors\)",
    ),
    "an index to the parent": (lambda p: index(p, '{"weight_map": {"a": ".."}}'), r"points outside the checkpoint"),
    "a missing shard": (lambda p: (shard(p), remove(p, "two.safetensors")), r"lacks two\.safetensors"),
    "a shard that lacks a tensor": (
        lambda p: shard(p, drop=("embeddings.word_embeddings.weight",)),
        r"lack 1 tensors of its index, such as embeddings\.word",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_is_refused_in_plain_words(checkpoint, case):
    spoil, message = BAD[case]
    spoil(checkpoint)
    with pytest.raises(CheckpointError, match=message):
        inspect_checkpoint(checkpoint)


def test_a_tokenizer_of_another_vocabulary_is_refused(checkpoint):
    words = [f"word{number} {number * 7919}" for number in range(2000)]
    make_tokenizer(words, vocabulary=1500).save_pretrained(checkpoint)
    with pytest.raises(CheckpointError, match=r"makes 1500 different ids, the embedding table has \d+ rows"):
        inspect_checkpoint(checkpoint)


def test_what_is_no_directory_is_told(tmp_path, checkpoint, monkeypatch):
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a directory"):
        find_checkpoint(str(checkpoint / "model.safetensors"))
    for absent in (str(tmp_path / "absent"), "./absent", "a/b/c"):
        with pytest.raises(CheckpointError, match=r"is not a directory; expected .*hub name.*all-minilm-l6-v2"):
            find_checkpoint(absent)
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert find_checkpoint("~/checkpoint").path == checkpoint


def test_a_good_one_says_what_it_is(checkpoint):
    found = find_checkpoint(str(checkpoint))
    assert (found.model_type, found.max_tokens, found.pad_id) == ("bert", 40, 0)
    assert 20_000 < found.parameters < 40_000
    assert found.digest == inspect_checkpoint(checkpoint).digest
    config(checkpoint, note="changed")
    assert found.digest != inspect_checkpoint(checkpoint).digest


def test_positions_of_the_roberta_kind_begin_after_the_padding_token(checkpoint):
    config(checkpoint, model_type="roberta", max_position_embeddings=514, pad_token_id=1)
    assert inspect_checkpoint(checkpoint).max_tokens == 512


def test_a_cache_of_links_is_read_and_copied_as_files(checkpoint, tmp_path):
    """The hub's cache keeps snapshots as links to blobs."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for file in list(checkpoint.iterdir()):
        file.rename(blobs / file.name)
        file.symlink_to(blobs / file.name)
    copy_checkpoint(inspect_checkpoint(checkpoint), tmp_path / "copy")
    assert not any(file.is_symlink() for file in (tmp_path / "copy").iterdir())
    assert inspect_checkpoint(tmp_path / "copy").digest == inspect_checkpoint(checkpoint).digest


def test_an_output_folder_of_the_trainer_is_taken_and_its_pickles_left(checkpoint, tmp_path):
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"):
        (checkpoint / name).write_bytes(pickle.dumps(Bomb()))
    (checkpoint / "trainer_state.json").write_text("{}")
    copy_checkpoint(inspect_checkpoint(checkpoint), tmp_path / "copy")
    names = {file.name for file in (tmp_path / "copy").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_shards_are_read_and_copied_with_their_index(checkpoint, tmp_path):
    whole = inspect_checkpoint(checkpoint)
    shard(checkpoint)
    parts = inspect_checkpoint(checkpoint)
    assert parts.parameters == whole.parameters
    copy_checkpoint(parts, tmp_path / "copy")
    assert inspect_checkpoint(tmp_path / "copy").digest == parts.digest


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"problem_type": "several"}, "has problem_type 'several'; expected one of single_label_classification"),
        ({"problem_type": ["regression"]}, "has problem_type"),
        ({"problem_type": "regression"}, "gives several numbers a text"),
        ({"problem_type": "regression", "id2label": {"0": "a", "1": "b"}}, "gives several numbers a text"),
    ],
)
def test_a_problem_type_that_cannot_be_is_told(config, said):
    with pytest.raises(CheckpointError, match=re.escape(said)):
        _ = Checkpoint(Path("here"), "here", config, 0, "").problem


def test_a_checkpoint_says_what_its_head_answers_with():
    assert Checkpoint(Path("here"), "here", {}, 0, "").problem is None
    config = {"problem_type": "regression", "id2label": {"0": "LABEL_0"}}
    assert Checkpoint(Path("here"), "here", config, 0, "").problem == "regression"
