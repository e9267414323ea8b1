"""Checkpoints of older form, made into today's beside the cache: encoder-decoders with ``.bin`` weights, or with
SentencePiece files and no ``tokenizer.json``.

Promises: the checkpoint itself is never written to; pickled weights are read by torch's restricted reader alone,
which builds tensors and nothing else; the converted copy appears whole or not at all, and is used again as long as
the files it was made of are the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.core.errors import CheckpointError, ResourceError
from penjing.core.extras import require
from penjing.core.files import digest, sha256_file, staged_directory
from penjing.data import cache_dir
from penjing.models.sentencepiece_file import build_tokenizer, read_sentencepiece
from penjing.models.weights import WEIGHT_FILE, WEIGHT_INDEX, read_json
from penjing.tokens.translation import TARGET_TOKENIZER

PICKLED = "pytorch_model.bin"
_MARIAN = ("source.spm", "target.spm", "vocab.json")
_M2M100 = ("sentencepiece.bpe.model", "vocab.json")
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_CARRIED = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")


def converted(path: Path) -> Path:
    """``path`` itself where nothing is to be converted, else the directory of its converted copy.

    Raises:
        CheckpointError: weights or tokenizer files that cannot be read.
        ResourceError: the cache cannot be written.
    """
    if not path.is_dir() or not (path / "config.json").is_file():
        return path
    config = read_json(path / "config.json", expected="a Transformers config.json")
    if not isinstance(config, dict) or not config.get("is_encoder_decoder", config.get("model_type") == "t5"):
        return path
    pickled = not any((path / name).is_file() for name in (WEIGHT_FILE, WEIGHT_INDEX)) and (path / PICKLED).is_file()
    pieces = _pieces_of(path) if not (path / "tokenizer.json").is_file() else ()
    if not pickled and not pieces:
        return path
    inputs = [name for name in (*_CARRIED, *pieces, PICKLED if pickled else "") if name and (path / name).is_file()]
    mark = digest({name: sha256_file(path / name) for name in inputs} | {"weights": str(path.resolve())})
    target = cache_dir() / "converted" / mark[:32]
    if not target.is_dir():
        with staged_directory(target) as draft:
            _convert(path, draft, config, pieces=pieces, pickled=pickled)
    return target


def _pieces_of(path: Path) -> tuple[str, ...]:
    for names in (_MARIAN, _M2M100):
        if all((path / name).is_file() for name in names):
            return names
    return ()


def _convert(path: Path, draft: Path, config: Mapping[str, Any], *, pieces: tuple[str, ...], pickled: bool) -> None:
    left_behind = {PICKLED} if pickled else set()
    for file in path.iterdir():
        if (
            file.is_file()
            and file.name not in left_behind
            and file.suffix in (".json", ".spm", ".model", ".safetensors")
        ):
            shutil.copyfile(file, draft / file.name)
    if pickled:
        write_safetensors(path / PICKLED, draft / WEIGHT_FILE)
    if pieces:
        write_tokenizers(draft, multilingual=config.get("model_type") == "m2m_100")


def write_safetensors(pickled: Path, target: Path) -> None:
    """Read a ``.bin`` by torch's restricted reader and write its tensors, each that is shared once.

    Raises:
        CheckpointError: it holds anything but tensors.
    """
    torch, safetensors = require("torch", extra="train"), require("safetensors.torch", extra="train")
    try:
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
        named = {str(name): tensor for name, tensor in tensors.items()}
        seen: dict[tuple[int, tuple[int, ...]], str] = {}
        for name, tensor in named.items():
            seen.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
        once = {name: named[name].contiguous() for name in seen.values()}
    except Exception as error:  # the reader raises what it likes on what it does not take
        raise CheckpointError(
            f"{pickled} is not plain weights: {' '.join(str(error).split())[:200]}",
            expected="tensors by name",
            do="Save the model again with save_pretrained(), which writes model.safetensors.",
        ) from error
    try:
        safetensors.save_file(once, target, metadata={"format": "pt"})
    except Exception as error:
        raise ResourceError(f"writing {target} failed: {error}", expected="a writable disk with room left") from error


def write_tokenizers(directory: Path, *, multilingual: bool) -> None:
    """Write ``tokenizer.json``, and for Marian ``target_tokenizer.json``, from the SentencePiece files there."""
    vocabulary = read_json(directory / "vocab.json", expected="piece → id")
    if not isinstance(vocabulary, dict) or not all(type(one) is int for one in vocabulary.values()):
        raise CheckpointError(f"{directory / 'vocab.json'} is no vocabulary", expected="piece → id")
    codes = tuple(name for name in vocabulary if name.startswith(">>") and name.endswith("<<"))
    if not multilingual:
        for source, name in (("source.spm", "tokenizer.json"), ("target.spm", TARGET_TOKENIZER)):
            pieces = read_sentencepiece(directory / source)
            build_tokenizer(pieces, vocabulary, special=(*_SPECIAL, *codes)).save(str(directory / name))
        return
    pieces = read_sentencepiece(directory / "sentencepiece.bpe.model")
    tokenizer = build_tokenizer(pieces, vocabulary, special=_SPECIAL)
    tokenizer.add_special_tokens(_languages(directory))
    tokenizer.save(str(directory / "tokenizer.json"))


def _languages(directory: Path) -> list[str]:
    """M2M100's language tokens, which follow its vocabulary in this order."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            said = json.loads((directory / name).read_text(encoding="utf-8"))
            tokens = said.get("additional_special_tokens") or said.get("extra_special_tokens") or []
            found = [one if isinstance(one, str) else str(one.get("content")) for one in tokens]
            if found:
                return found
    raise CheckpointError(
        f"{directory} does not name its languages", expected="additional_special_tokens in special_tokens_map.json"
    )
