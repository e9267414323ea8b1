"""The text side of a decoder: texts and conversations to prompts, tokens to text.

Has the attributes of an :class:`~penjing.tasks.answering.Answerer`, so that what only wants a model's tokens asks
it like any other; but it has no answers in one pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, final

from penjing.core.errors import UnsupportedError
from penjing.engines import Prompt
from penjing.engines.generating import GeneratorShape
from penjing.tokens import Reads, Text
from penjing.tokens.chat import ChatTemplate, Message
from penjing.tokens.encode import Spelling, open_tokenizer, spell
from penjing.tokens.streaming import TextStream

_UNLIMITED = 1 << 20


class TextSide(Protocol):
    """What a lane and the dialects want of a model's texts.

    Attributes:
        max_tokens: that the model reads at once.
        vocabulary_size: number of token ids.
        marks: texts that the tokenizer takes for tokens of their own, such as the end of a turn.
        chats: whether there is a chat template.
    """

    max_tokens: int
    vocabulary_size: int
    marks: frozenset[str]
    chats: bool

    def room(self, prompt: Prompt) -> int:
        """Tokens that an answer may have; below 1 if there is no room for one."""

    def prompt(self, text: str) -> Prompt:
        """A text as a prompt."""

    def conversation(self, messages: Sequence[Message], told: Mapping[str, Any]) -> Prompt:
        """A conversation as a prompt for its next answer.

        Raises:
            UnsupportedError: the model has no chat template.
            InvalidRequestError: the template refuses it.
        """

    def turn(self, text: str) -> Prompt:
        """A text as a user's turn, or as it is where the model has no chat template."""

    def stream(self, prompt: Prompt) -> TextStream:
        """What makes text of an answer's tokens."""


@final
class Writer:
    """See the module.

    Args:
        tokenizer: ``tokenizer.json``, with the chat template beside it.
        shape: of the engine's model.

    Raises:
        CheckpointError: a file cannot be read.
    """

    reads: Reads = "chosen"
    windowed = True

    def __init__(self, tokenizer: Path, shape: GeneratorShape) -> None:
        self._tokenizer = open_tokenizer(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._template = ChatTemplate.beside(tokenizer)
        self.max_tokens, self.vocabulary_size = shape.max_tokens or _UNLIMITED, shape.vocabulary
        self.marks = frozenset(one.content for one in self._tokenizer.get_added_tokens_decoder().values())
        self.chats = self._template is not None

    def room(self, prompt: Prompt) -> int:
        """See :class:`TextSide`: prompt and answer share the positions."""
        return self.max_tokens - len(prompt.ids)

    def prompt(self, text: str) -> Prompt:
        """See :class:`TextSide`."""
        return Prompt(self._tokenizer.encode(text).ids)

    def conversation(self, messages: Sequence[Message], told: Mapping[str, Any]) -> Prompt:
        """See :class:`TextSide`."""
        if self._template is None:
            raise UnsupportedError(
                "the model has no chat template", expected="a chat model", do="Ask /v1/completions with a prompt."
            )
        text = self._template.render(messages, **told)
        return Prompt(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def turn(self, text: str) -> Prompt:
        """See :class:`TextSide`."""
        return self.conversation([{"role": "user", "content": text}], {}) if self.chats else self.prompt(text)

    def stream(self, prompt: Prompt) -> TextStream:
        """See :class:`TextSide`."""
        return TextStream(self._tokenizer, prompt.ids)

    def spell(self, texts: Sequence[str], *, special: bool) -> list[Spelling]:
        """See :class:`~penjing.tasks.answering.Answerer`."""
        return spell(self._tokenizer, texts, special=special)

    def encode(self, texts: Sequence[Text]) -> NoReturn:
        """No answers in one pass.

        Raises:
            UnsupportedError: always.
        """
        del texts
        raise writes_only()

    def decode(self, asked: object, outputs: object) -> NoReturn:
        """No answers in one pass.

        Raises:
            UnsupportedError: always.
        """
        del asked, outputs
        raise writes_only()


def writes_only() -> UnsupportedError:
    """The refusal of what wants outputs of a model that writes."""
    return UnsupportedError(
        "the model writes text and gives no outputs of another kind",
        expected="/v1/completions, /v1/chat/completions, generate, or predict with plain texts",
    )
