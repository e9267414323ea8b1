"""Models of llama2.c (``stories15M.bin`` and its like) as checkpoints: read once, and kept in the cache.

The file is a header of seven numbers and then the weights of a Llama, one float after another; ``tokenizer.bin`` with
the pieces and their scores lies beside it. Neither has a mark of its own, so sizes are what is gone by: a file that is
a byte longer or shorter than its header says is refused. Nothing in it is run or unpickled; no torch is needed.

Promise: the outputs are those of llama2.c, and texts are cut into the same tokens. A test holds both against a plain
forward pass and a plain merging of pieces.

Source: karpathy/llama2.c, ``legacy_export`` of export.py and ``bpe_encode`` of run.c. Its later forms (they begin with
``ak42``) are refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, normalizers, processors

from penjing.core.errors import CheckpointError
from penjing.core.extras import require
from penjing.core.files import digest, sha256_file, staged_directory
from penjing.data import cache_dir
from penjing.models.sentencepiece_file import merges_of
from penjing.models.weights import WEIGHT_FILE, refused_writes_told

TOKENIZER = "tokenizer.bin"
_HEADER = struct.Struct("<7i")
_SPECIAL = ("<unk>", "<s>", "</s>")
_BYTES = 256  # pieces for single bytes, after the special ones
_MOST = 1 << 24  # of any number in the header
_LATER = b"24ka"  # how "ak42" lies in a file
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Shape:
    """The header. ``vocabulary`` is negative in the file where the last matrix is not that of the embeddings."""

    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int
    positions: int
    shares: bool

    @property
    def tensors(self) -> Iterator[tuple[str, int, tuple[int, ...]]]:
        """Name in Transformers, copies (one a layer, or one), shape of each, in the order of the file."""
        width, inner, keys = self.width, self.inner, self.width // self.heads * self.key_heads
        yield "model.embed_tokens", 1, (self.vocabulary, width)
        for name, shape in (
            ("input_layernorm", (width,)), ("self_attn.q_proj", (width, width)), ("self_attn.k_proj", (keys, width)),
            ("self_attn.v_proj", (keys, width)), ("self_attn.o_proj", (width, width)),
            ("post_attention_layernorm", (width,)), ("mlp.gate_proj", (inner, width)),
            ("mlp.down_proj", (width, inner)), ("mlp.up_proj", (inner, width)),
        ):  # fmt: skip
            yield f"model.layers.{{}}.{name}", self.layers, shape
        yield "model.norm", 1, (width,)
        yield "", 2, (self.positions, width // self.heads // 2)  # cosines and sines of the places
        if not self.shares:
            yield "lm_head", 1, (self.vocabulary, width)


def llama2c_file(path: Path) -> Path | None:
    """The model that a path is, or that lies alone beside a ``tokenizer.bin`` in a directory; None if there is none."""
    if path.is_file():
        return path if path.suffix.lower() == ".bin" else None
    if not (path / TOKENIZER).is_file() or (path / "config.json").is_file():
        return None
    found = [file for file in sorted(path.glob("*.bin")) if file.name != TOKENIZER]
    return found[0] if len(found) == 1 else None


def convert_llama2c(file: Path) -> Path:
    """The checkpoint of such a file, written when it is first wanted.

    Raises:
        CheckpointError: no such file, no ``tokenizer.bin`` beside it, or one of another model.
        ResourceError: the cache cannot be written.
    """
    beside = file.with_name(TOKENIZER)
    if not beside.is_file():
        raise CheckpointError(
            f"{file} has no {TOKENIZER} beside it",
            expected=f"a model of llama2.c with its {TOKENIZER}, or a checkpoint directory",
            do=f"Copy {TOKENIZER} there; other .bin weights are opened by the directory they lie in.",
        )
    shape = _read_header(file)
    tokenizer = _read_tokenizer(beside, shape.vocabulary)
    target = cache_dir() / "llama2c" / digest([sha256_file(file), sha256_file(beside)])[:32]
    if not target.is_dir():
        with staged_directory(target) as draft:
            _write_weights(file, shape, draft / WEIGHT_FILE)
            tokenizer.save(str(draft / "tokenizer.json"))
            for name, content in (
                ("config.json", _config(shape)), ("tokenizer_config.json", _told(shape)),
                ("generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, 1]}),  # a new text ends one too
            ):  # fmt: skip
                (draft / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return target


def _read_header(file: Path) -> _Shape:
    with file.open("rb") as opened:
        head = opened.read(_HEADER.size)
    if len(head) < _HEADER.size or head.startswith(_LATER):
        raise _refusal(file, "it has no header of seven numbers")
    width, inner, layers, heads, key_heads, vocabulary, positions = _HEADER.unpack(head)
    shape = _Shape(width, inner, layers, heads, key_heads, abs(vocabulary), positions, shares=vocabulary > 0)
    numbers = (width, inner, layers, heads, key_heads, shape.vocabulary, positions)
    if not all(0 < one <= _MOST for one in numbers) or width % (2 * heads) or heads % key_heads:
        raise _refusal(file, f"its header says {', '.join(map(str, _HEADER.unpack(head)))}")
    size = _HEADER.size + 4 * sum(copies * int(np.prod(own, dtype=object)) for _, copies, own in shape.tensors)
    if file.stat().st_size != size:
        raise _refusal(file, f"it has {file.stat().st_size} bytes, its header promises {size}")
    return shape


def _refusal(file: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{file} is no model of llama2.c: {why}",
        expected="the first form of its files: seven numbers, then fp32 weights",
        do="Copy it again; weights pickled by torch belong into a checkpoint directory.",
    )


def _write_weights(file: Path, shape: _Shape, target: Path) -> None:
    save = require("safetensors.numpy", extra="train").save_file
    weights = np.memmap(file, "<f4", mode="r", offset=_HEADER.size)
    at, named = 0, dict[str, Floats]()
    for name, copies, own in shape.tensors:
        size = int(np.prod(own))
        for copy in range(copies):
            if name:
                plain = np.asarray(weights[at : at + size], np.float32).reshape(own)
                named[f"{name.format(copy)}.weight"] = _turned(name, plain, shape)
            at += size
    with refused_writes_told(target):
        save(named, target, metadata={"format": "pt"})


def _turned(name: str, weight: Floats, shape: _Shape) -> Floats:
    """Queries and keys as Transformers turns them: llama2.c pairs neighbours, Transformers the halves of a head."""
    if not name.endswith(("q_proj", "k_proj")):
        return weight
    half = shape.width // shape.heads // 2
    return np.ascontiguousarray(weight.reshape(-1, half, 2, shape.width).swapaxes(1, 2)).reshape(weight.shape)


def _config(shape: _Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "hidden_size": shape.width, "intermediate_size": shape.inner, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.key_heads, "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions, "tie_word_embeddings": shape.shares, "rope_theta": 10000.0,
        "bos_token_id": 1, "eos_token_id": 2, "dtype": "float32",
    }  # fmt: skip


def _told(shape: _Shape) -> dict[str, Any]:
    unknown, start, end = _SPECIAL
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.positions,
        "unk_token": unknown, "bos_token": start, "eos_token": end,
    }  # fmt: skip


def _read_tokenizer(file: Path, count: int) -> Tokenizer:
    """Llama's kind of tokenizer from pieces and scores: what no piece has becomes bytes."""
    try:
        first, rest = _vocabulary(list(_pieces(file.read_bytes(), count)))
        vocabulary = {name: number for number, name in enumerate([*first, *rest])}
    except (OSError, ValueError, struct.error) as error:
        raise CheckpointError(
            f"{file} is not the tokenizer of a model with {count:,} tokens: {error}",
            expected=f"llama2.c's {TOKENIZER} that belongs to the model beside it",
            do="Copy both again.",
        ) from error
    unknown, start, end = _SPECIAL
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges_of(rest, vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", pair=f"{start} $A {start} $B", special_tokens=[(start, vocabulary[start])]
    )
    tokenizer.add_special_tokens([unknown, start, end])
    return tokenizer


def _vocabulary(pieces: list[tuple[bytes, float]]) -> tuple[list[str], dict[str, float]]:
    """Names of the special pieces and of the bytes, which come first, and all others with their scores.

    A byte is written by its name or, in the oldest files, as the letter of its number.
    """
    of_bytes = [f"<0x{byte:02X}>" for byte in range(_BYTES)]
    before = [*_SPECIAL, *of_bytes]
    told = [piece.decode() for piece, _ in pieces[len(_SPECIAL) : len(before)]]
    rest = {piece.decode().replace(" ", "▁"): score for piece, score in pieces[len(before) :]}
    known = told in (of_bytes, [chr(byte) for byte in range(_BYTES)])
    if not known or len(before) + len(rest) != len(pieces) or rest.keys() & set(before):
        raise ValueError("its pieces are not those of a Llama")
    return before, rest


def _pieces(content: bytes, count: int) -> Iterator[tuple[bytes, float]]:
    """(piece, score) of each; the file begins with the length of the longest."""
    at = 4
    for _ in range(count):
        score, length = struct.unpack_from("<fi", content, at)
        if length < 0 or at + 8 + length > len(content):
            raise ValueError("it ends within a piece")
        yield content[at + 8 : at + 8 + length], score
        at += 8 + length
    if at != len(content):
        raise ValueError("it goes on after its last piece")
