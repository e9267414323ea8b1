"""Checkpoint directories, looked at before anything in them is trusted.

A checkpoint is a directory in Hugging Face layout: ``config.json``, ``model.safetensors``,
``tokenizer.json``. :func:`inspect_checkpoint` reads headers only, needs no torch, and refuses
what would fail later in a less clear way. Pickled weights are never opened.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.core.errors import CheckpointError, ResourceError
from penjing.core.extras import require
from penjing.core.files import PICKLE_SUFFIXES, digest, sha256_file
from penjing.core.nouns import Embedding, Problem, Task
from penjing.data import WEIGHTS, named_weights
from penjing.models.converting import converted
from penjing.models.deltas.facts import is_delta
from penjing.models.deltas.restoring import restored
from penjing.models.gguf import convert_gguf, gguf_file
from penjing.models.llama2c import convert_llama2c, llama2c_file
from penjing.models.pooling import MODULES, POOLING_FILES, pooling_files, read_embedding
from penjing.models.sparse import dense, is_sparse
from penjing.models.tasks import task_of
from penjing.models.weights import WEIGHT_FILE, WEIGHT_INDEX, read_json, tensor_shapes, weight_files
from penjing.tokens import TextEncoder

# What travels with a model: enough to open it in Transformers, nothing that could run.
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
    "sentencepiece.bpe.model", "spiece.model", "added_tokens.json", "chat_template.jinja", "source.spm", "target.spm",
    "target_tokenizer.json", "generation_config.json",
)  # fmt: skip
_NUMBERS = ("max_position_embeddings", "n_positions", "pad_token_id", "vocab_size")  # of config.json, where present
_HUB_ANSWERS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that passed inspection.

    Attributes:
        path: the directory.
        source: what the user called it.
        config: ``config.json``.
        parameters: number of weights.
        digest: over config, weights and tokenizer.
    """

    path: Path
    source: str
    config: dict[str, Any]
    parameters: int
    digest: str

    @property
    def model_type(self) -> str:
        """Transformers' name of the architecture."""
        return str(self.config["model_type"])

    @property
    def max_tokens(self) -> int:
        """The longest sequence its position table allows."""
        positions = int(self.config.get("max_position_embeddings") or self.config.get("n_positions") or 512)
        offset = int(self.config.get("pad_token_id") or 0) + 1
        return positions - offset if self.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else positions

    @property
    def task(self) -> Task | None:
        """What it is for, as its class and the files beside it say; None if they say nothing that is known."""
        named = task_of(self.config)
        under_pretraining = named in (None, Task.FILL_MASK)
        return Task.FEATURE_EXTRACTION if under_pretraining and (self.path / MODULES).is_file() else named

    @property
    def problem(self) -> Problem | None:
        """What a head of text classification answers with; None if its config does not say: then it is one label.

        Raises:
            CheckpointError: a word that Transformers does not know, or several numbers at once.
        """
        said, named = self.config.get("problem_type"), self.config.get("id2label")
        if said is not None and said not in tuple(Problem):
            raise CheckpointError(
                f"{self.source} has problem_type {said!r:.80}", expected=f"one of {', '.join(Problem)}"
            )
        if said == Problem.REGRESSION and (not isinstance(named, dict) or len(named) != 1):
            raise CheckpointError(f"{self.source} gives several numbers a text", expected="a regression of one number")
        return None if said is None else Problem(said)

    @property
    def embedding(self) -> Embedding:
        """How its encoder makes one vector of a text; CheckpointError if in a way that is not known here."""
        width = self.config.get("hidden_size") or self.config.get("dim")  # the latter is DistilBERT's word
        return read_embedding(self.path, size=int(width or 0))

    @property
    def pad_id(self) -> int:
        """The padding token."""
        return int(self.config.get("pad_token_id") or 0)

    @property
    def start_id(self) -> int:
        """What a decoder begins with."""
        return int(self.config.get("decoder_start_token_id") or 0)

    @property
    def tokenizer(self) -> Path:
        """The tokenizer file."""
        return self.path / "tokenizer.json"


def find_checkpoint(source: str) -> Checkpoint:
    """Turn what a user calls a model into an inspected directory.

    Args:
        source: a directory, with weights, sparse ones or a delta; a file of GGUF or llama2.c, or a directory with
            one; a name of :data:`penjing.data.WEIGHTS`; or a hub name such as ``org/model``.

    Raises:
        CheckpointError: not a usable checkpoint.
        ResourceError: it would have to be fetched and could not be.
    """
    path = Path(source).expanduser()
    if path.exists() and not (source in WEIGHTS and path.is_file()):
        whole = dense(path) if is_sparse(path) else path
        whole = restored(whole, find=find_checkpoint) if is_delta(whole) else whole
        return inspect_checkpoint(_ours(whole), source=source)
    if source in WEIGHTS:
        return inspect_checkpoint(converted(named_weights(source)), source=source)
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise CheckpointError(
            f"model {source!r} is not a directory",
            expected=f"a checkpoint directory, a hub name (org/model) or one of {', '.join(WEIGHTS)}",
        )
    return inspect_checkpoint(converted(_from_hub(source)), source=source)


def _ours(path: Path) -> Path:
    """The checkpoint directory that a path is, or is made into."""
    if foreign := gguf_file(path):
        return convert_gguf(foreign)
    if foreign := llama2c_file(path):
        return convert_llama2c(foreign)
    return converted(path)


def _from_hub(name: str) -> Path:
    """The files of a hub name: from the hub if it answers soon, else from the local cache."""
    hub = require("huggingface_hub", extra="train")
    wanted = ["config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZER_FILES, *POOLING_FILES]
    try:
        try:
            hub.HfApi().model_info(name, timeout=_HUB_ANSWERS_WITHIN_S)  # the download itself may wait for ever
        except Exception as error:  # noqa: BLE001  (of many kinds; told below unless the files are here already)
            return _cached(hub, name, wanted, silence=error)
        return Path(hub.snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the hub client raises its own and its transport's many errors
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise ResourceError(
            f"model {name!r} could not be fetched from the hub: {said}",
            expected="a hub name that is reachable or already cached",
            do=f"Give a local directory, or one of: {', '.join(WEIGHTS)}.",
        ) from error


def _cached(hub: Any, name: str, wanted: list[str], *, silence: Exception) -> Path:
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except Exception as error:
        raise silence from error


def inspect_checkpoint(path: Path, *, source: str | None = None) -> Checkpoint:
    """Read the headers of a checkpoint directory and refuse what cannot work.

    Raises:
        CheckpointError: a missing or malformed file, pickled weights, a truncated weight file, or
            a tokenizer that makes ids the embedding table does not have.
    """
    _refuse_incomplete(path)
    config = _read_config(path / "config.json")
    weights, shapes = weight_files(path), tensor_shapes(path)
    _refuse_foreign_tokenizer(path, config, shapes)
    parts = {file.name: sha256_file(file) for file in (path / "config.json", path / "tokenizer.json", *weights)}
    parts |= {str(file.relative_to(path)): sha256_file(file) for file in pooling_files(path)}
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return Checkpoint(path, source or str(path), config, parameters, digest(parts))


def copy_tokenizer(checkpoint: Path, target: Path) -> None:
    """Copy the tokenizer's files, and only those, beside newly saved weights."""
    target.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, target / name)


def copy_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Copy config, weights and tokenizer, and nothing else that lies there."""
    copy_tokenizer(checkpoint.path, target)
    for file in [checkpoint.path / "config.json", *weight_files(checkpoint.path)]:
        shutil.copyfile(file, target / file.name)
    if not (checkpoint.path / WEIGHT_FILE).is_file():
        shutil.copyfile(checkpoint.path / WEIGHT_INDEX, target / WEIGHT_INDEX)


def _refuse_incomplete(path: Path) -> None:
    if not path.is_dir():
        raise CheckpointError(f"checkpoint {path} is not a directory", expected="a checkpoint directory")
    try:
        names = {file.name for file in path.iterdir() if file.is_file()}  # a link that leads nowhere is no file
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    safe = bool(names & {WEIGHT_FILE, WEIGHT_INDEX})
    pickled = sorted(name for name in names if name.endswith(PICKLE_SUFFIXES) and "training_args" not in name)
    if not safe and pickled:
        raise CheckpointError(
            f"checkpoint {path} holds pickled weights ({', '.join(pickled)}), which can run code when opened",
            expected="model.safetensors",
            do="Convert it where you trust it: model.save_pretrained(directory, safe_serialization=True).",
        )
    needed = ["config.json", "tokenizer.json"] + ([] if safe else [WEIGHT_FILE])
    if missing := [name for name in needed if name not in names]:
        raise CheckpointError(
            f"checkpoint {path} lacks {', '.join(missing)}",
            expected="config.json, model.safetensors and tokenizer.json",
            do="Save model and tokenizer into one directory with save_pretrained().",
        )


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path, expected="a Transformers config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{path} names no model_type", expected="a Transformers config.json")
    for name in _NUMBERS:
        value = config.get(name)
        if value is not None and (type(value) is not int or value < 0):
            raise CheckpointError(f"{path} has {name} {value!r}", expected="a whole number")
    return config


def _refuse_foreign_tokenizer(path: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    ids = TextEncoder(path / "tokenizer.json", max_tokens=8).vocabulary_size
    tables = [shape[0] for name, shape in shapes.items() if name.endswith("word_embeddings.weight")]
    rows = min(tables, default=int(config.get("vocab_size", ids)))
    if ids > rows:
        raise CheckpointError(
            f"the tokenizer in {path} makes {ids} different ids, the embedding table has {rows} rows",
            expected="the tokenizer the model was trained with",
            do="Copy tokenizer.json from the model's own checkpoint.",
        )
