"""Texts as what a causal language model is taught: token ids, and which of them count.

Promises: a token counts only if it lies wholly in what is to be taught, the token that ends an answer
included; a prompt has the tokens it will have when the model is asked, whatever follows it; of texts longer than
a sequence each token counts in exactly one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penjing.core.errors import DataError
from penjing.tokens.chat import ChatTemplate, Message, special_tokens
from penjing.tokens.encode import Encoding, open_tokenizer

Ints = npt.NDArray[np.int64]


class TeachingEncoder:
    """A tokenizer that knows what counts.

    Args:
        path: ``tokenizer.json``.
        max_tokens: of a sequence.
        stride: tokens of a long text's piece that are repeated in the next, where they only give context.
        ends: add the token that ends a text or a completion, where ``tokenizer_config.json`` names one.

    Raises:
        CheckpointError: the tokenizer, or a file beside it, cannot be read.
    """

    def __init__(self, path: Path, *, max_tokens: int, stride: int = 0, ends: bool = True) -> None:
        self._tokenizer = open_tokenizer(path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._template = ChatTemplate.beside(path)
        self._max_tokens, self._stride = max_tokens, stride
        end = special_tokens(path).get("eos_token") if ends else None
        self._end_id = None if end is None else self._tokenizer.token_to_id(end)

    def text(self, text: str) -> list[Encoding]:
        """A plain text: every token but the first counts. One piece, or several that overlap."""
        ids = self._ended(self._ids(text, special=True))
        step = max(1, self._max_tokens - self._stride)
        starts = [0, *range(step, len(ids) - self._stride, step)] if len(ids) > self._max_tokens else [0]
        pieces = []
        for number, start in enumerate(starts):
            own = ids[start : start + self._max_tokens]
            first = max(0, self._stride - 1) if number else 0  # its target is the first that no earlier piece has
            pieces.append(_encoding(own, np.arange(first, len(own) - 1)))
        return pieces

    def completion(self, prompt: str, completion: str) -> Encoding:
        """A prompt and what should follow: the completion's tokens and the end count."""
        before = self._ids(prompt, special=True)
        whole = self._ids(prompt + completion, special=True)
        ids = whole if whole[: len(before)] == before else before + self._ids(completion, special=False)
        return self._cut(self._ended(ids), np.arange(max(0, len(before) - 1), len(ids) - (self._end_id is None)))

    def chat(self, messages: Sequence[Message], *, origin: str) -> Encoding:
        """A conversation: the assistant's answers count, with the token that ends each.

        Raises:
            DataError: the checkpoint has no chat template.
            InvalidRequestError: its template refuses the conversation.
        """
        if self._template is None:
            raise DataError(
                f"{origin} is a conversation, and the checkpoint has no chat template",
                expected="chat_template.jinja beside tokenizer.json",
                do="Take a chat model's checkpoint, or give prompt and completion.",
            )
        rendered = self._template.with_answers(messages)
        made = self._tokenizer.encode(rendered.text, add_special_tokens=False)
        spans = np.array(made.offsets, np.int64).reshape(-1, 2)
        counts = np.zeros(len(spans), bool)
        for begin, end in rendered.answers:
            counts |= (spans[:, 0] >= begin) & (spans[:, 1] <= end) & (spans[:, 0] < spans[:, 1])
        return self._cut(list(made.ids), np.flatnonzero(counts[1:]))

    def _ids(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def _ended(self, ids: list[int]) -> list[int]:
        return ids if self._end_id is None or ids[-1:] == [self._end_id] else [*ids, self._end_id]

    def _cut(self, ids: list[int], chosen: Ints) -> Encoding:
        return _encoding(ids[: self._max_tokens], chosen, cut=len(ids) > self._max_tokens)


def targets_of(sequence: Encoding) -> Ints:
    """The token after each place that counts, int64 (n,)."""
    return sequence.ids[_chosen(sequence) + 1]


def _chosen(sequence: Encoding) -> Ints:
    return np.arange(len(sequence) - 1) if sequence.chosen is None else sequence.chosen


def _encoding(ids: Sequence[int], chosen: Ints, *, cut: bool = False) -> Encoding:
    """``chosen`` are places whose next token counts."""
    return Encoding(np.array(ids, np.int64), None, cut, chosen[chosen < len(ids) - 1].astype(np.int64))
