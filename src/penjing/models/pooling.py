"""How a checkpoint makes one vector of a text: sentence-transformers' files beside it, in and out.

``modules.json`` lists what follows the encoder, ``1_Pooling/config.json`` says how tokens become a
vector, ``sentence_bert_config.json`` how long a text may be. A bare encoder, which has none of these,
pools by the mean and normalises. What Penjing does not do is refused by its name. Needs no torch.

Source: huggingface/sentence-transformers, ``sentence_transformers/models/{Pooling,Transformer}.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from penjing.core.errors import CheckpointError
from penjing.core.nouns import Embedding

MODULES = "modules.json"
_TOKENIZER, _UNLIMITED = "tokenizer_config.json", int(1e30)  # Transformers' word for no limit
_LENGTH, _PROMPTS, _POOLING = "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"
# What may be fetched from a hub with a checkpoint.
POOLING_FILES = (MODULES, _LENGTH, _PROMPTS, "*_Pooling/config.json")
_KINDS = ("Transformer", "Pooling", "Normalize")
_MODES: dict[str, Literal["mean", "first"]] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "first",
    "cls_token": "first",
}


def read_embedding(path: Path, *, size: int) -> Embedding:
    """How the checkpoint in ``path`` makes a vector of a text.

    Args:
        path: its directory.
        size: width of its last layer.

    Raises:
        CheckpointError: a part, a pooling mode or a setting that Penjing does not have, or a malformed file.
    """
    if not (path / MODULES).is_file():
        return Embedding(size=size)
    modules = [(_kind(entry, path), entry) for entry in _listed(path)]
    if [kind for kind, _ in modules] not in (["Transformer", "Pooling"], list(_KINDS)):
        shown = ", ".join(kind for kind, _ in modules)
        raise CheckpointError(f"{path / MODULES} lists {shown}", expected=f"{', '.join(_KINDS)}, the last if need be")
    _refuse_settings(path)
    pooling = _mode(_object(path / _inside(modules[1][1], path) / "config.json"), path)
    return Embedding(pooling=pooling, normalised=len(modules) == len(_KINDS), size=size)


def read_longest(path: Path) -> int | None:
    """Tokens to which the checkpoint's texts are to be cut; None where it does not say.

    sentence-transformers wrote its own file up to release 5; since then the tokenizer's settings hold the number.
    """
    for file, key in ((_LENGTH, "max_seq_length"), (_TOKENIZER, "model_max_length")):
        longest = _object(path / file).get(key) if (path / file).is_file() else None
        if longest is None or longest == _UNLIMITED:
            continue
        if isinstance(longest, bool) or not isinstance(longest, int | float) or longest < 1:
            raise CheckpointError(f"{path / file} has {key} {longest!r}", expected="a whole number")
        return int(longest)
    return None


def pooling_files(path: Path) -> list[Path]:
    """Of the files that say how texts are pooled, those that there are."""
    return [file for pattern in POOLING_FILES for file in sorted(path.glob(pattern)) if file.is_file()]


def write_embedding(path: Path, embedding: Embedding, *, longest: int) -> None:
    """Write the files, so that the directory opens in sentence-transformers too."""
    kinds = _KINDS if embedding.normalised else _KINDS[:2]
    places = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": at, "name": str(at), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, place) in enumerate(zip(kinds, places, strict=False))
    ]
    mode = {
        "word_embedding_dimension": embedding.size,
        "pooling_mode_cls_token": embedding.pooling == "first",
        "pooling_mode_mean_tokens": embedding.pooling == "mean",
    }
    written = {MODULES: modules, _POOLING: mode, _LENGTH: {"max_seq_length": longest, "do_lower_case": False}}
    for name, content in written.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _listed(path: Path) -> list[Mapping[str, Any]]:
    listed = _read(path / MODULES)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise CheckpointError(f"{path / MODULES} is not a list of modules", expected="sentence-transformers' own file")
    return listed


def _kind(entry: Mapping[str, Any], path: Path) -> str:
    kind = str(entry.get("type")).rpartition(".")[2]
    if kind not in _KINDS:
        raise CheckpointError(
            f"{path / MODULES} has a part of type {kind!r}",
            expected=f"{', '.join(_KINDS)} only",
            do="Choose a checkpoint that ends in pooling, or fine-tune one on your pairs.",
        )
    return kind


def _inside(entry: Mapping[str, Any], path: Path) -> str:
    place = str(entry.get("path"))
    if place in ("", ".", "..") or "/" in place or "\\" in place:
        raise CheckpointError(f"{path / MODULES} points to {place!r}", expected="a folder beside it")
    return place


def _mode(config: Mapping[str, Any], path: Path) -> Literal["mean", "first"]:
    modes: list[object] = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if name.startswith("pooling_mode_") and on
    ]
    if named := config.get("pooling_mode"):  # since release 6, one or several
        modes = named if isinstance(named, list) else [named]
    if len(modes) != 1 or str(modes[0]) not in _MODES:
        shown = " and ".join(map(str, modes)) or "nothing"
        raise CheckpointError(f"the checkpoint in {path} pools by {shown}", expected="mean_tokens or cls_token")
    return _MODES[str(modes[0])]


def _refuse_settings(path: Path) -> None:
    if (path / _LENGTH).is_file() and _object(path / _LENGTH).get("do_lower_case"):
        raise CheckpointError(
            f"{path / _LENGTH} sets do_lower_case", expected="a tokenizer.json that does so itself", do="Convert it."
        )
    if (path / _PROMPTS).is_file() and (name := _object(path / _PROMPTS).get("default_prompt_name")):
        raise CheckpointError(
            f"{path / _PROMPTS} puts the prompt {name!r} before every text",
            expected="a checkpoint without a default prompt",
            do="Remove default_prompt_name, and send texts with the prompt before them.",
        )


def _object(path: Path) -> Mapping[str, Any]:
    content = _read(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object", expected="sentence-transformers' own file")
    return content


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", expected="JSON", do="Copy it again.") from error
