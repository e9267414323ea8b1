"""Which tokens a corpus needs, and a checkpoint's tokenizer written anew for them, with proof on the whole corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.errors import CheckpointError, ParityError
from penjing.tokens import Text, TextEncoder
from penjing.tokens.shrinking import renumber_settings, renumbered, shrunk, tokens_to_keep

_LONGEST = 1 << 14  # tokens: of a longer text the beginning is read
# Of what lies beside tokenizer.json, what says the old vocabulary again and is not needed.
_STALE = ("vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "added_tokens.json")


@dataclass(frozen=True, slots=True)
class Kept:
    """The tokens that stay.

    Attributes:
        tokens: their old numbers, ascending.
        texts: how many were read.
    """

    tokens: npt.NDArray[np.int64]
    texts: int


def needed_tokens(tokenizer: Path, texts: Iterable[Text], *, least: int) -> Kept:
    """The tokens that texts need."""
    encoder = TextEncoder(tokenizer, max_tokens=_LONGEST)
    counts, read = np.zeros(encoder.vocabulary_size, np.int64), 0
    for some in batches(texts):
        for one in encoder.encode(some):
            np.add.at(counts, one.ids, 1)
        read += len(some)
    return Kept(tokens_to_keep(_read(tokenizer), counts, least=least), read)


def write_tokenizer(checkpoint: Path, kept: Kept) -> None:
    """Bring the tokenizer in ``checkpoint`` down to the tokens that stay."""
    file, settings = checkpoint / "tokenizer.json", checkpoint / "tokenizer_config.json"
    made = json.dumps(shrunk(_read(file), kept.tokens.tolist()), ensure_ascii=False, indent=1)
    file.write_text(made, encoding="utf-8")
    if settings.is_file():
        told = json.loads(settings.read_text(encoding="utf-8"))
        settings.write_text(json.dumps(renumber_settings(told, kept.tokens.tolist()), indent=2), encoding="utf-8")
    for name in _STALE:
        (checkpoint / name).unlink(missing_ok=True)


def prove_same_tokens(before: Path, after: Path, texts: Iterable[Text], *, kept: Kept, least: int) -> int:
    """Compare both tokenizers on every text of which all tokens are kept; how many these are.

    Raises:
        ParityError: one gets other tokens.
    """
    old, new = TextEncoder(before, max_tokens=_LONGEST), TextEncoder(after, max_tokens=_LONGEST)
    covered = 0
    for some in batches(texts):
        for text, one, other in zip(some, old.encode(some), new.encode(some), strict=True):
            if least > 1 and not np.isin(one.ids, kept.tokens).all():
                continue
            covered += 1
            if not np.array_equal(renumbered(one.ids, kept.tokens), other.ids):
                raise ParityError(
                    f"with fewer tokens {str(text)[:60]!r} is cut differently",
                    expected="the same tokens",
                    do="Report it: this tokenizer cannot be pruned yet.",
                )
    return covered


def unknown_share(tokenizer: Path, texts: Sequence[Text]) -> float:
    """Share of the tokens of texts that are the unknown token."""
    unknown = _unknown(_read(tokenizer))
    encoder = TextEncoder(tokenizer, max_tokens=_LONGEST)
    ids = np.concatenate([one.ids for some in batches(texts) for one in encoder.encode(some)])
    return 0.0 if unknown is None else float((ids == unknown).mean())


def batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Texts, some thousands at a time."""
    held: list[Text] = []
    for text in texts:
        held.append(text)
        if len(held) == 4096:
            yield held
            held = []
    if held:
        yield held


def _unknown(tokenizer: dict[str, object]) -> int | None:
    model = tokenizer["model"]
    if not isinstance(model, dict):
        raise CheckpointError("a tokenizer without a model", expected="tokenizer.json")
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    found = model["vocab"].get(model.get("unk_token")) if isinstance(model["vocab"], dict) else None
    return None if found is None else int(found)


def _read(file: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return content
