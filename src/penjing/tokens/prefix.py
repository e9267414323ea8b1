"""How much of a long text decides its first tokens.

A tokenizer that splits at spaces before it looks anything up gives the words before a space the
same tokens whatever comes after. So a text that will be cut anyway need not be read whole: it is
enough to tokenise up to a space, if that gives more tokens than are kept.

Promise: the tokens before a place that :meth:`SafeCut.before` names are those of the whole text.
Trade: that is reasoned for a closed list of normalisers and pre-tokenisers, those of the encoder
families. For any other, and for text without such a place, the whole text is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

# Each looks at one character, or at one base character with its marks: never across a space.
_LOCAL_NORMALIZERS = frozenset(
    {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "Strip", "Precompiled"}
)
_AT_SPACES = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit"})


@dataclass(frozen=True, slots=True)
class SafeCut:
    """Where a text may be cut so that the tokens before the cut stay what they are.

    Attributes:
        ideographs: the tokenizer makes every Chinese character a word, so that a cut between two is safe too.
    """

    ideographs: bool

    def before(self, text: str, limit: int) -> int | None:
        """The last safe place in ``text[: limit]``, or None. ``limit`` is less than the text's length."""
        return next((at for at in range(limit, 0, -1) if self._safe(text[at - 1], text[at])), None)

    def _safe(self, left: str, right: str) -> bool:
        if right == " ":
            return left.isalnum()
        return self.ideographs and _is_ideograph(left) and _is_ideograph(right)


def safe_cut(tokenizer: Tokenizer) -> SafeCut | None:
    """Where this tokenizer's texts may be cut; None if it is not known to split at spaces."""
    normalizer, splitter = _as_data(tokenizer.normalizer), _as_data(tokenizer.pre_tokenizer)
    added = list(_added_tokens(tokenizer))
    known = all(map(_is_local, _steps(normalizer, "normalizers"))) and _splits_at_spaces(splitter)
    if not known or any(character.isspace() for token in added for character in token):
        return None
    return SafeCut(
        ideographs=splitter["type"] == "BertPreTokenizer"
        and normalizer.get("handle_chinese_chars") is True
        and not any(map(_is_ideograph, "".join(added)))
    )


def _as_data(component: Any) -> dict[str, Any]:
    """The JSON form of a normaliser or pre-tokeniser, as it stands in ``tokenizer.json``."""
    return {} if component is None else dict(json.loads(component.__getstate__()))


def _steps(component: dict[str, Any], key: str) -> list[dict[str, Any]]:
    if component.get("type") == "Sequence":
        return [step for inner in component[key] for step in _steps(inner, key)]
    return [component] if component else []


def _is_local(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] != "Replace":
        return normalizer["type"] in _LOCAL_NORMALIZERS
    plain = normalizer["pattern"].get("String")
    if plain is not None:
        return not any(map(str.isspace, plain))
    # A run of spaces made one space: it starts at the place of the cut or lies to one side of it.
    return bool(normalizer["pattern"] == {"Regex": " {2,}"} and normalizer["content"] == " ")


def _splits_at_spaces(splitter: dict[str, Any]) -> bool:
    """The first step must end words at spaces; the later ones, of these kinds, look inside words only."""
    steps = _steps(splitter, "pretokenizers")
    return bool(steps) and all(map(_ends_words_at_spaces, steps))


def _ends_words_at_spaces(splitter: dict[str, Any]) -> bool:
    if splitter["type"] == "ByteLevel":
        return splitter["use_regex"] is True
    if splitter["type"] == "Metaspace":
        return splitter["split"] is True
    return splitter["type"] in _AT_SPACES


def _added_tokens(tokenizer: Tokenizer) -> Iterator[str]:
    """Every form in which an added token is looked for in text."""
    for token in tokenizer.get_added_tokens_decoder().values():
        yield token.content
        if token.normalized and tokenizer.normalizer is not None:
            yield tokenizer.normalizer.normalize_str(token.content)


def _is_ideograph(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"
