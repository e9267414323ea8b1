"""The protocol of engines that write: token ids in, token ids out, whole or one by one.

:class:`Generator` stands beside :class:`~penjing.engines.base.Engine`, which answers in one pass. It is opened from
a directory that :mod:`penjing.export` wrote, knows ids only (texts are for tokenizers), and promises:

* no prompt is cut: one without room for an answer is refused;
* the answer to a prompt does not depend on what else is in its call;
* with a seed, sampling gives the same tokens each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from penjing.core.errors import CorruptBundleError, InvalidRequestError
from penjing.core.nouns import Frozen

SHAPE_FILE = "generator.json"
# What ended an answer: one of the model's or the caller's end ids, want of room, or the caller.
Finish = Literal["stop", "length", "stopped"]
Kind = Literal["decoder", "encoder-decoder"]


class GeneratorShape(Frozen):
    """What a generating model takes and gives; lies beside its weights as ``generator.json``.

    Attributes:
        kind: a decoder goes on from its prompt; an encoder-decoder answers it.
        vocabulary: ids are below this.
        end_ids: each ends an answer.
        max_tokens: a decoder's for prompt and answer together, an encoder-decoder's for each; None is no limit.
    """

    kind: Kind
    vocabulary: int = Field(ge=1)
    end_ids: tuple[int, ...]
    max_tokens: int | None = Field(None, ge=1)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked.

    Attributes:
        ids: the text so far, or the source text with all its special tokens.
        prefix: of an encoder-decoder: what the answer begins with, such as the token of a language. Not
            repeated in the answer.
    """

    ids: Sequence[int]
    prefix: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How answers are chosen.

    Attributes:
        max_tokens: of an answer, its end token included; less where the model has less room.
        min_tokens: before which no answer ends.
        temperature: 0 takes the most probable token each time; above, tokens are drawn, and 1 draws from the
            model's own distribution.
        top_p: draw among the most probable tokens that together have this share.
        top_k: draw among so many; None is all.
        repetition_penalty: above 1, tokens that the answer holds already get less probable.
        stop_ids: end an answer, besides the model's own.
        seed: of the draws; the same seed gives the same answer. Costs speed, see ``engines/sampling.py``.
        beams: of beam search; 1 is none. Not with a temperature.
        patience: a search ends once ``beams`` times so many hypotheses have ended; more finds better ones.
        length_penalty: hypotheses are compared by the sum of their log-probabilities over length to this power.
        hypotheses: answers a prompt, best first.
        logprobs: whether to tell each token's, for answers that are not searched by beams.
    """

    max_tokens: int = 256
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    repetition_penalty: float = 1.0
    stop_ids: tuple[int, ...] = ()
    seed: int | None = None
    beams: int = 1
    patience: float = 1.0
    length_penalty: float = 1.0
    hypotheses: int = 1
    logprobs: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InvalidRequestError: a value out of its range, or two that do not go together.
        """
        for name, good, expected in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("min_tokens", 0 <= self.min_tokens <= self.max_tokens, "from 0 to max_tokens"),
            ("temperature", 0 <= self.temperature <= 100, "from 0 to 100"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("top_k", self.top_k is None or self.top_k >= 1, "at least 1"),
            ("repetition_penalty", 0 < self.repetition_penalty <= 100, "above 0, up to 100"),
            ("beams", 1 <= self.beams <= 64, "from 1 to 64"),
            ("patience", 0 < self.patience <= 16, "above 0, up to 16"),
            ("length_penalty", abs(self.length_penalty) <= 100, "from -100 to 100"),
            ("hypotheses", 1 <= self.hypotheses <= 64, "from 1 to 64"),
        ):
            if not good:
                raise InvalidRequestError(f"{name} is {getattr(self, name)}", expected=expected)
        if self.beams > 1 and self.temperature > 0:
            raise InvalidRequestError("beams and a temperature were given", expected="one of the two")
        if self.temperature == 0 and self.hypotheses > max(1, self.beams):
            raise InvalidRequestError(
                f"{self.hypotheses} hypotheses of {self.beams} beams", expected="as many beams, or a temperature"
            )


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer in the making.

    Attributes:
        id: of the token; never an end token.
        logprob: under the model, before temperature.
        hypothesis: which of a prompt's answers it belongs to.
    """

    id: int
    logprob: float
    hypothesis: int = 0


@dataclass(frozen=True, slots=True)
class Continuation:
    """One answer.

    Attributes:
        ids: its tokens, without prefix and end token.
        score: sum of log-probabilities over length to the power of ``length_penalty``; the end token counts.
        finish: what ended it.
        logprobs: of each of ``ids``, where they were asked for.
    """

    ids: tuple[int, ...]
    score: float
    finish: Finish
    logprobs: tuple[float, ...] | None = None


# (which prompt, its next token) → True to end that answer there. Called from the engine's threads.
OnToken = Callable[[int, Token], bool]


class Generator(Protocol):
    """Continues or answers prompts. May be called from several threads at once.

    Attributes:
        name: key of the registry.
        instances: how many concurrent calls the engine was laid out for.
        shape: of the model.
    """

    name: str
    instances: int
    shape: GeneratorShape

    def generate(
        self, prompts: Sequence[Prompt], options: GenerationOptions, *, on_token: OnToken | None = None
    ) -> list[list[Continuation]]:
        """Answers to prompts, in their order.

        Args:
            prompts: each answered alike.
            options: for all of them.
            on_token: is told each token as it comes; an error that it raises ends the call. Not with beams.

        Raises:
            InvalidRequestError: a prompt that is empty, has an unknown id or leaves no room for an answer.
            NotReadyError: the engine is closed.
        """

    def score(
        self, sequences: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Log-probabilities that the model gives to tokens that are there already.

        Args:
            sequences: of a decoder: texts of at least two tokens. Of an encoder-decoder: sources.
            targets: of an encoder-decoder: an answer to each, without end token.

        Returns:
            of a decoder: float32 (tokens − 1,), of every token but the first. Of an encoder-decoder: float32
            (tokens + 1,), of every token and of the end.
        """

    def close(self) -> None:
        """Free what the engine holds. Idempotent."""


def read_shape(directory: Path) -> GeneratorShape:
    """The shape that lies in a model's directory.

    Raises:
        CorruptBundleError: it is absent or no shape.
    """
    file = directory / SHAPE_FILE
    try:
        return GeneratorShape.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise CorruptBundleError(
            f"{file} cannot be read: {error}", expected="what export wrote", do="Export the model again."
        ) from error


def room(shape: GeneratorShape, prompt: Prompt) -> int | None:
    """Tokens that an answer may have; None is no limit.

    Raises:
        InvalidRequestError: the prompt is empty, has an unknown id, or leaves none.
    """
    ids, most = prompt.ids, shape.max_tokens
    if not len(ids):
        raise InvalidRequestError("a prompt has no tokens", expected="at least one")
    if strange := next((one for one in (*ids, *prompt.prefix) if not 0 <= one < shape.vocabulary), None):
        raise InvalidRequestError(f"token id {strange} is unknown", expected=f"ids from 0 to {shape.vocabulary - 1}")
    if most is None:
        return None
    left = most - len(ids) if shape.kind == "decoder" else most - len(prompt.prefix)
    if len(ids) > most or left < 1:
        raise InvalidRequestError(
            f"a prompt has {len(ids) + len(prompt.prefix):,} tokens",
            expected=f"fewer than {most:,}" if shape.kind == "decoder" else f"at most {most:,}",
            do="Shorten the text, or split it.",
        )
    return left
