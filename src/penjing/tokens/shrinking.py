"""A tokenizer with fewer tokens: what texts need of a vocabulary, and ``tokenizer.json`` written anew for it.

Promise: texts of which all tokens are kept give the same tokens, under new numbers. For WordPiece because the longest
piece that fits is still there; for BPE because every merge that can have led to a kept token is kept, in its order;
for Unigram because the best path is still there and no new one is. :func:`renumbered` is checked against both
tokenizers on all texts by the caller. Special and added tokens stay, and so do the letters of BPE.

Trade: a text with a word that was never seen gets smaller pieces, or the unknown token where a letter is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CheckpointError

_ASCII = 128
_PREFIXES = ("##", "▁")

Json = dict[str, Any]


def vocabulary_of(tokenizer: Json) -> dict[str, int]:
    """Token → number, added tokens included.

    Raises:
        CheckpointError: a kind of tokenizer that is not shrunk here.
    """
    model = tokenizer.get("model") or {}
    kind, held = model.get("type"), model.get("vocab")
    if kind in ("WordPiece", "BPE") and isinstance(held, dict):
        known = {str(token): int(number) for token, number in held.items()}
    elif kind == "Unigram" and isinstance(held, list):
        known = {str(entry[0]): number for number, entry in enumerate(held)}
    else:
        raise CheckpointError(f"a tokenizer of type {kind!r}", expected="WordPiece, BPE or Unigram")
    return known | {str(added["content"]): int(added["id"]) for added in tokenizer.get("added_tokens") or ()}


def tokens_to_keep(tokenizer: Json, counts: npt.NDArray[np.int64], *, least: int = 1) -> npt.NDArray[np.int64]:
    """Old numbers of the tokens that stay, ascending: that order is the new numbering.

    Args:
        tokenizer: the content of ``tokenizer.json``.
        counts: how often each token was met, int64 (vocabulary,).
        least: how often one must be met to stay.
    """
    known, model = vocabulary_of(tokenizer), tokenizer["model"]
    kept = {number for number in known.values() if number < len(counts) and counts[number] >= least}
    kept |= {int(added["id"]) for added in tokenizer.get("added_tokens") or ()}
    unknown = model.get("unk_token")
    if unknown in known:
        kept.add(known[unknown])
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        kept.add(int(model["unk_id"]))
    kept |= {number for token, number in known.items() if _is_plain_letter(token)}
    if model["type"] == "BPE":
        kept |= _parts(known, _merges(model), kept) | {n for token, n in known.items() if len(token) == 1}
    return np.array(sorted(kept), np.int64)


def shrunk(tokenizer: Json, kept: Sequence[int]) -> Json:
    """``tokenizer.json`` with the tokens of these old numbers alone, numbered by their place among them."""
    new = {int(old): number for number, old in enumerate(kept)}
    made: Json = json.loads(json.dumps(tokenizer))
    model = made["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [entry for old, entry in enumerate(model["vocab"]) if old in new]
        model["unk_id"] = None if model.get("unk_id") is None else new[model["unk_id"]]
    else:
        held = sorted(model["vocab"].items(), key=lambda entry: entry[1])
        model["vocab"] = {token: new[old] for token, old in held if old in new}
    if model["type"] == "BPE":
        has = model["vocab"]
        model["merges"] = [
            merge for merge, (a, b) in zip(model["merges"], _merges(model), strict=True) if {a, b, a + b} <= has.keys()
        ]
    for added in made.get("added_tokens") or ():
        added["id"] = new[added["id"]]
    if made.get("padding"):
        made["padding"]["pad_id"] = new[made["padding"]["pad_id"]]
    _renumber_processor(made.get("post_processor"), new)
    return made


def renumbered(ids: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Old numbers, all of them kept, as new ones."""
    return np.searchsorted(kept, ids)


def renumber_settings(settings: Mapping[str, Any], kept: Sequence[int]) -> Json:
    """``tokenizer_config.json`` with the numbers that it repeats brought up to date."""
    new = {int(old): number for number, old in enumerate(kept)}
    made = dict(settings)
    if isinstance(held := made.get("added_tokens_decoder"), dict):
        made["added_tokens_decoder"] = {str(new[int(old)]): value for old, value in held.items() if int(old) in new}
    return made


def _is_plain_letter(token: str) -> bool:
    """Whether a token is one ASCII character, at the beginning of a word or inside of it."""
    for prefix in _PREFIXES:
        token = token.removeprefix(prefix)
    return len(token) == 1 and ord(token) < _ASCII


def _merges(model: Json) -> list[tuple[str, str]]:
    split = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    return [(str(one), str(other)) for one, other in split]


def _parts(known: Mapping[str, int], merges: Iterable[tuple[str, str]], kept: Iterable[int]) -> set[int]:
    """Numbers of all tokens that kept ones can have been merged from."""
    ways: dict[str, list[tuple[str, str]]] = {}
    for one, other in merges:
        ways.setdefault(one + other, []).append((one, other))
    names = {number: token for token, number in known.items()}
    waiting, found = [names[number] for number in kept], set[str]()
    while waiting:
        token = waiting.pop()
        if token not in found:
            found.add(token)
            waiting += [part for way in ways.get(token, ()) for part in way]
    return {known[token] for token in found if token in known}


def _renumber_processor(processor: Any, new: Mapping[int, int]) -> None:
    """Bring the numbers in a post-processor, of whatever depth, up to date."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors") or ():
        _renumber_processor(inner, new)
    for name in ("sep", "cls"):
        if isinstance(pair := processor.get(name), list):
            pair[1] = new[pair[1]]
    if isinstance(special := processor.get("special_tokens"), dict):
        for entry in special.values():
            entry["ids"] = [new[number] for number in entry["ids"]]
