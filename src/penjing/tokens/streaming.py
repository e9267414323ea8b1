"""From token ids to text while they come: characters and words whole, never half of one.

A Chinese character or an emoji may be several tokens, and a tokenizer may write a token otherwise at the
beginning of a text than inside it. So text is told only once it can no longer change: the ids since the last
clean break are decoded together, and what ends in the middle of a character waits.

Promise: the pieces told, one after another, are the text of all ids at once. Price: a few ids are decoded
again with each token.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_LONGEST = 16  # tokens; no character has more, so what is broken then stays broken


class TextStream:
    """The text of one answer.

    Args:
        tokenizer: of the model.
        context: ids before the answer, so that its first token is written as it is inside a text.
    """

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(context)[-_LONGEST:]
        self._start = 0  # ids before are only there to give the others their form
        self._told = len(self._ids)

    def take(self, token: int) -> str:
        """The text that a further id makes certain; may be empty."""
        self._ids.append(token)
        return self._tell(at_end=False)

    def rest(self) -> str:
        """What was held back, at the end."""
        return self._tell(at_end=True)

    def _tell(self, *, at_end: bool) -> str:
        before = self._decode(self._ids[self._start : self._told])
        whole = self._decode(self._ids[self._start :])
        broken = whole.endswith(_UNFINISHED) and len(self._ids) - self._told < _LONGEST
        if len(whole) <= len(before) or (broken and not at_end):
            return ""
        self._start, self._told = self._told, len(self._ids)
        return whole[len(before) :]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True)) if ids else ""


def text_of(tokenizer: Tokenizer, ids: Sequence[int], context: Sequence[int] = ()) -> str:
    """The text of an answer, all at once. See :class:`TextStream`."""
    stream = TextStream(tokenizer, context)
    return "".join([*map(stream.take, ids), stream.rest()])
