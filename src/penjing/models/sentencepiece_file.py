"""SentencePiece's model files, read without its library, as tokenizers of our own form.

Promise: the same pieces as SentencePiece itself, but for runs of letters that only the other language's vocabulary
has: it joins them to one unknown piece, here each stays the letter it is. A test holds that on real text.

Source: ``sentencepiece_model.proto`` of google/sentencepiece: ModelProto.pieces = 1, .trainer_spec = 2,
.normalizer_spec = 3; SentencePiece.piece = 1, .score = 2, .type = 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from penjing.core.errors import CheckpointError

_NORMAL, _UNIGRAM, _BPE = 1, 1, 2
_UNKNOWN_BELOW = 10.0  # SentencePiece: an unknown letter scores so much less than the worst piece
_NEVER = -1e6


@dataclass(frozen=True, slots=True)
class SentencePieceFile:
    """What such a file says.

    Attributes:
        scores: of each ordinary piece.
        kind: how a word becomes pieces.
        normalisation: table of characters, in SentencePiece's own packing; may be empty.
    """

    scores: Mapping[str, float]
    kind: Literal["unigram", "bpe"]
    normalisation: bytes


def read_sentencepiece(path: Path) -> SentencePieceFile:
    """Read a ``.spm`` or ``.model`` file.

    Raises:
        CheckpointError: it is not one.
    """
    try:
        pieces, kind, table = {}, _UNIGRAM, b""
        for number, value in _fields(path.read_bytes()):
            if number == 1:
                piece = dict(_fields(value))
                if piece.get(3, _NORMAL) == _NORMAL:
                    pieces[piece[1].decode()] = struct.unpack("<f", piece.get(2, bytes(4)))[0]
            elif number == 2:
                kind = dict(_fields(value)).get(3, _UNIGRAM)
            elif number == 3:
                table = dict(_fields(value)).get(2, b"")
        if not pieces or kind not in (_UNIGRAM, _BPE):
            raise ValueError(f"{len(pieces)} pieces of model type {kind}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise CheckpointError(
            f"{path} is not a SentencePiece model: {error}", expected="unigram or BPE pieces", do="Copy it again."
        ) from error
    return SentencePieceFile(pieces, "bpe" if kind == _BPE else "unigram", table)


def build_tokenizer(
    source: SentencePieceFile, vocabulary: Mapping[str, int], *, special: tuple[str, ...], unknown: str = "<unk>"
) -> Tokenizer:
    """A tokenizer with the ids of ``vocabulary`` and the pieces of ``source``.

    Args:
        source: decides what a text is cut into.
        vocabulary: piece → id, ids from 0 without gaps; may hold pieces that ``source`` lacks.
        special: of the vocabulary, those that are no text.
        unknown: the piece for what is in neither.

    Raises:
        CheckpointError: the vocabulary has gaps or no unknown piece.
    """
    names = sorted(vocabulary, key=vocabulary.__getitem__)
    if unknown not in vocabulary or [vocabulary[name] for name in names] != list(range(len(names))):
        raise CheckpointError(f"a vocabulary of {len(names)} pieces has gaps or no {unknown}", expected="neither")
    if source.kind == "unigram":
        model: Any = models.Unigram(_scored(source, names), vocabulary[unknown], byte_fallback=False)
    else:
        merges = merges_of(source.scores, vocabulary)
        model = models.BPE(dict(vocabulary), merges, unk_token=unknown, fuse_unk=True)
    tokenizer = Tokenizer(model)
    table = [normalizers.Precompiled(source.normalisation)] if source.normalisation else []
    tokenizer.normalizer = normalizers.Sequence([*table, normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([name for name in special if name in vocabulary])
    return tokenizer


def _scored(source: SentencePieceFile, names: list[str]) -> list[tuple[str, float]]:
    """Scores of the vocabulary's pieces. Single letters that the source lacks are as good as unknown there, and
    still have an id; its longer pieces never come out.
    """
    worst = min(source.scores.values()) - _UNKNOWN_BELOW
    return [(name, source.scores.get(name, worst if len(name) == 1 else _NEVER)) for name in names]


def merges_of(scores: Mapping[str, float], vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs to join, best first: every way in which two pieces make a third.

    Args:
        scores: of the pieces that text is cut into.
        vocabulary: all pieces that there are, with their ids.
    """
    rank = {piece: number for number, piece in enumerate(sorted(scores, key=lambda one: -scores[one]))}
    found = []
    for piece in rank:
        if piece in vocabulary:
            ways = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
            known = [way for way in ways if way[0] in vocabulary and way[1] in vocabulary]
            found += [(rank[piece], rank.get(left, 0), rank.get(right, 0), left, right) for left, right in known]
    return [(left, right) for *_, left, right in sorted(found)]


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protobuf message: bytes, or an int where it is a varint."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(content, at)
        else:
            size = {1: 8, 5: 4}[wire]
        if at + size > len(content):
            raise ValueError("it ends within a field")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number that does not end")
