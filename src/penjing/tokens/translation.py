"""Texts to the token ids that translation models take, and their ids back to texts.

Promises: a text is never cut. One longer than the model takes is parted at its line breaks and between sentences,
and its translation put together again; a sentence that is longer by itself is refused. An unknown language is
refused with the known ones. Blank text is translated to what it is.

Source: the forms are those of Transformers' tokenizers: Marian and T5 ``text </s>``, a Marian of several languages
``>>code<< text </s>``, M2M100, NLLB and mBART-50 ``code text </s>`` with the answer beginning with its own code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from penjing.core.errors import CheckpointError, InvalidRequestError, UsageError
from penjing.core.nouns import Translation
from penjing.tokens.encode import Spelling, open_tokenizer, spell

TARGET_TOKENIZER = "target_tokenizer.json"  # beside tokenizer.json, where the two languages differ in their pieces
_ENDS = ("</s>", "[EOS]", "<eos>", "<|endoftext|>")
# Language tokens: M2M100's, Marian's, NLLB's, mBART's. The first group is the code.
_CODES = (r"__([a-z]{2,3})__", r">>([^<>]+)<<", r"([a-z]{3}_[A-Z][a-z]{3})", r"([a-z]{2}_[A-Z]{2})")
_SENTENCE = re.compile(r"(?<=[.!?…؟۔।])(?=[\"'”’»)\]]*\s)[\"'”’»)\]]*\s+|(?<=[。！？；])(?!$)")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Passage:
    """As much of a text as a model translates at once.

    Attributes:
        ids: its tokens, special ones included; empty where there is nothing to translate.
        after: what stands between its translation and the next.
    """

    ids: tuple[int, ...]
    after: str = ""


class TranslationEncoder:
    """The tokenizers of a translation model.

    Args:
        path: ``tokenizer.json``; a ``target_tokenizer.json`` beside it is used for targets.
        how: languages and instruction.
        max_tokens: of a source, special tokens included.

    Raises:
        CheckpointError: a tokenizer that cannot be read, or that has no end token.
        UsageError: languages that the model does not know, or none where it needs them.

    Attributes:
        end_id: closes sources and targets.
        prefix: what an answer begins with.
        vocabulary_size: number of token ids.
    """

    def __init__(self, path: Path, how: Translation, *, max_tokens: int) -> None:
        self._source, target = _open(path), path.with_name(TARGET_TOKENIZER)
        self._target = _open(target) if target.is_file() else self._source
        ends = [self._source.token_to_id(name) for name in _ENDS]
        self.end_id = next((one for one in ends if one is not None), -1)
        if self.end_id < 0:
            raise CheckpointError(f"the tokenizer {path} has no end token", expected=f"one of {', '.join(_ENDS)}")
        unknown, special = self._source.token_to_id("<unk>"), self._source.get_added_tokens_decoder()
        self._plain = dict.fromkeys(special, self.end_id if unknown is None else unknown)  # see _open
        self._before, self.prefix = _language_ids(self._source, how)
        self._instruction, self.max_tokens = how.instruction, max_tokens
        self.vocabulary_size = int(self._source.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of one text, however many."""
        ids = self._source.encode(self._instruction + text, add_special_tokens=False).ids
        return (*self._before, *(self._plain.get(one, one) for one in ids), self.end_id)

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of translations, language and end tokens included."""
        made = self._target.encode_batch_fast([*texts], add_special_tokens=False)
        return [[*self.prefix, *(self._plain.get(each, each) for each in one.ids), self.end_id] for one in made]

    def passages(self, text: str) -> list[Passage]:
        """A text as passages that the model takes.

        Raises:
            InvalidRequestError: a sentence that is too long by itself.
        """
        if not text.strip():
            return [Passage((), text)]
        if len(ids := self.encode(text)) <= self.max_tokens and "\n" not in text.strip("\n"):
            return [Passage(ids)]
        lines = text.split("\n")
        found = [one for line in lines for one in [*self._of_line(line), Passage((), "\n")]]
        return found[:-1]

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """The tokens of texts, uncut. See :meth:`penjing.tokens.encode.TextEncoder.spell`."""
        return spell(self._source, texts, special=special)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer."""
        return str(self._source.decode([*map(int, ids)], skip_special_tokens=True))

    def _of_line(self, line: str) -> Iterator[Passage]:
        if not line.strip():
            return
        if len(ids := self.encode(line)) <= self.max_tokens:
            yield Passage(ids)
            return
        waiting: tuple[str, tuple[int, ...], str] | None = None
        for sentence, gap in sentences(line):
            joined = sentence if waiting is None else waiting[0] + waiting[2] + sentence
            if len(ids := self.encode(joined)) <= self.max_tokens:
                waiting = joined, ids, gap
                continue
            if waiting is not None:
                yield Passage(waiting[1], waiting[2])
                ids = self.encode(sentence)
            if len(ids) > self.max_tokens:
                raise _too_long(sentence, len(ids), self.max_tokens)
            waiting = sentence, ids, gap
        if waiting is not None:
            yield Passage(waiting[1])


def sentences(line: str) -> Iterator[tuple[str, str]]:
    """(sentence, the white space after it) over a line; ends of sentences in Latin, Arabic, Indic and CJK script."""
    at = 0
    for found in _SENTENCE.finditer(line):
        end = found.end() - len(found.group()) + len(found.group().rstrip())
        yield line[at:end], line[end : found.end()]
        at = found.end()
    if at < len(line):
        yield line[at:], ""


def languages_of(tokenizer: Tokenizer) -> tuple[str, dict[str, int]]:
    """(the form of its language tokens, code → id); both empty for a model of one pair."""
    added = {one.content: number for number, one in tokenizer.get_added_tokens_decoder().items()}
    for form in _CODES:
        codes = {match[1]: number for name, number in added.items() if (match := re.fullmatch(form, name))}
        if codes:
            return form, codes
    return "", {}


def _language_ids(tokenizer: Tokenizer, how: Translation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids before each source, and those that each answer begins with."""
    form, codes = languages_of(tokenizer)
    if not codes:
        if how.source or how.target:
            raise UsageError(
                f"translation from {how.source} to {how.target}",
                expected="no language codes: this model translates one pair",
            )
        return (), ()
    known = f"one of {', '.join([*codes][:_SHOWN])}" + (f" … ({len(codes)} in all)" if len(codes) > _SHOWN else "")
    asked = {"translation.target": how.target}
    if ">>" not in form:
        asked |= {"translation.source": how.source}
    for key, code in asked.items():
        if code not in codes:
            raise UsageError(f"{key} is {code!r}", expected=known, do=f"Set {key} to a language of this model.")
    target = (codes[str(how.target)],)
    return (target, ()) if ">>" in form else ((codes[str(how.source)],), target)


def _open(path: Path) -> Tokenizer:
    tokenizer = open_tokenizer(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # what a user writes is text, even "</s>"
    return tokenizer


def _too_long(sentence: str, tokens: int, most: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"a sentence of {tokens:,} tokens, {sentence[:40]!r} …",
        expected=f"at most {most:,} a sentence",
        do="Put in full stops or line breaks, or shorten it.",
    )
