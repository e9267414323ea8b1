"""Text out of a model that writes, without a server, in the prompts' own order: what ``penjing predict`` does then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from penjing.app.judging import open_drafted
from penjing.core.errors import DataError, InvalidRequestError
from penjing.core.nouns import Frozen
from penjing.data import GenerationExample
from penjing.engines import GenerationOptions, Generator, Prompt, Token
from penjing.serve.writing.stopping import Stopper
from penjing.store import Bundle, Store, parse_reference
from penjing.tokens.chat import ChatTemplate
from penjing.tokens.encode import open_tokenizer
from penjing.tokens.streaming import TextStream

_WINDOW = 64
Asked = str | Sequence[Mapping[str, Any]]


class SamplingRecipe(Frozen):
    """How text is written.

    Attributes:
        max_tokens: of an answer, as far as the model has room.
        temperature: 0 takes the most probable token each time.
        top_p: draw among the most probable tokens that together have this share.
        top_k: draw among so many; None is all.
        repetition_penalty: above 1, tokens that the answer holds already get less probable.
        stop: strings that end an answer.
        seed: the same one gives the same draws; each prompt has its own.
        chat: read a text as a user's turn; ``auto`` does where the checkpoint has a chat template.
    """

    max_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    repetition_penalty: float = Field(1.0, gt=0, le=100)
    stop: tuple[str, ...] = ()
    seed: int | None = Field(None, ge=0)
    chat: Literal["auto", "yes", "no"] = "auto"


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer.

    Attributes:
        text: without the prompt.
        finish: ``stop``: the model or a stop string ended it; ``length``: no more tokens were allowed.
        tokens: how many it has.
    """

    text: str
    finish: Literal["stop", "length"]
    tokens: int


def asked_of(example: GenerationExample) -> Asked:
    """What a row asks to go on with."""
    if example.messages:
        return [{"role": role, "content": content} for role, content in example.messages]
    return example.prompt or ""


def generate(
    model: str, prompts: Iterable[Asked], *, store: Path, sampling: SamplingRecipe | None = None
) -> Iterator[Generated]:
    """Go on with prompts and conversations.

    Args:
        model: reference of a version for text generation.
        prompts: texts, or conversations as lists of turns with ``role`` and ``content``.
        store: where the version lies.
        sampling: how.

    Raises:
        NotFoundError: no such version.
        DataError: a prompt that is longer than the model reads, or that its chat template refuses; with its number.
    """
    bundle = Store(store).bundle(*parse_reference(model))
    return _generated(_Writing(bundle, sampling or SamplingRecipe()), iter(prompts))


def _generated(writing: _Writing, prompts: Iterator[Asked]) -> Iterator[Generated]:
    done = 0
    try:
        while window := list(islice(prompts, _WINDOW)):
            yield from writing.answers(window, first=done + 1)
            done += len(window)
    finally:
        writing.engine.close()


class _Writing:
    def __init__(self, bundle: Bundle, sampling: SamplingRecipe) -> None:
        path = bundle.file(bundle.manifest.text.tokenizer)
        self._tokenizer, self._template = open_tokenizer(path), ChatTemplate.beside(path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._how = sampling
        self.engine: Generator = open_drafted(bundle.path, bundle.manifest)

    def answers(self, asked: Sequence[Asked], *, first: int) -> list[Generated]:
        prompts = [self._prompt(one, number) for number, one in enumerate(asked, start=first)]
        if self._how.seed is not None and self._how.temperature > 0:  # each prompt has draws of its own
            return [
                self._written([prompt], seed=self._how.seed + number)[0] for number, prompt in enumerate(prompts, first)
            ]
        return self._written(prompts, seed=None)

    def _written(self, prompts: Sequence[Prompt], *, seed: int | None) -> list[Generated]:
        how = self._how
        options = GenerationOptions(
            max_tokens=how.max_tokens,
            temperature=how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            repetition_penalty=how.repetition_penalty,
            seed=seed,
        )
        streams = [TextStream(self._tokenizer, prompt.ids) for prompt in prompts]
        stoppers, texts = [Stopper(how.stop) for _ in prompts], [""] * len(prompts)

        def on_token(row: int, token: Token) -> bool:
            texts[row] += stoppers[row].take(streams[row].take(token.id))
            return stoppers[row].hit is not None

        found = self.engine.generate(prompts, options, on_token=on_token)
        made = []
        for row, (answer, *_) in enumerate(found):
            text = texts[row] + stoppers[row].take(streams[row].rest()) + stoppers[row].rest()
            stopped = answer.finish == "stop" or stoppers[row].hit is not None
            made.append(Generated(text, "stop" if stopped else "length", len(answer.ids)))
        return made

    def _prompt(self, asked: Asked, number: int) -> Prompt:
        chats = not isinstance(asked, str) or self._how.chat == "yes" or self._how.chat == "auto"
        try:
            if chats and self._template is not None:
                turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
                ids = self._tokenizer.encode(self._template.render(turns), add_special_tokens=False).ids
            elif isinstance(asked, str) and self._how.chat != "yes":
                ids = self._tokenizer.encode(asked).ids
            else:
                raise InvalidRequestError("the model has no chat template", expected="a chat model, or plain texts")
        except InvalidRequestError as error:
            raise DataError(f"prompt {number}: {error.came}", expected=error.expected, do=error.do) from error
        most = self.engine.shape.max_tokens
        if not ids or (most is not None and len(ids) >= most):
            raise DataError(f"prompt {number} has {len(ids)} tokens", expected=f"1 to {(most or 1 << 20) - 1}")
        return Prompt(ids)
