"""One answer in the making: between the engine's thread, which feeds it, and the event loop, which reads it.

Promise: exactly one :class:`End` or error comes out, and nothing after it; an answer whose reader has left ends
with the next token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from penjing.core.errors import PenjingError
from penjing.engines import GenerationOptions, Prompt, Token
from penjing.serve.writing.stopping import Stopper
from penjing.tokens.streaming import TextStream

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Written:
    """A token that was written.

    Attributes:
        text: what it made certain; may be empty, in the middle of a character say.
        id: of the token.
        logprob: its log-probability under the model.
    """

    text: str
    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that can be told, and the tokens since the last piece."""

    text: str
    tokens: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer.

    Attributes:
        text: what was held back.
        finish: ``stop``: an end token or a stop string; ``length``: no more tokens were allowed.
        tokens: of the whole answer.
        stopped_by: the stop string.
    """

    text: str
    finish: Finish
    tokens: int
    stopped_by: str | None = None


Event = Piece | End | PenjingError


class Job:
    """See the module.

    Args:
        prompt: what is continued.
        options: how; ``max_tokens`` is this job's own and fits the model.
        stops: strings that end the answer.
        stream: makes text of its tokens.
        tell: takes each event, on the event loop.

    Attributes:
        gone: nobody reads any more.
        ended: whether an end was told.
        taken_at: when an engine first took it up.
    """

    def __init__(
        self,
        prompt: Prompt,
        options: GenerationOptions,
        *,
        stops: tuple[str, ...],
        stream: TextStream,
        tell: Callable[[Event], None],
    ) -> None:
        self.prompt, self.options = prompt, options
        self.loop = asyncio.get_running_loop()
        self.accepted_at = time.monotonic()
        self.taken_at: float | None = None
        self.gone = self.ended = False
        self.ids: list[int] = []
        self._tell, self._stream, self._stopper = tell, stream, Stopper(stops)
        self._pending: list[Written] = []

    @property
    def tokens(self) -> int:
        """Most that it may hold of the engine's memory: prompt and answer."""
        return len(self.prompt.ids) + self.options.max_tokens

    @property
    def alike(self) -> GenerationOptions:
        """What jobs in one call have in common."""
        return replace(self.options, max_tokens=1, min_tokens=0)

    @property
    def is_seeded(self) -> bool:
        """Whether its tokens are drawn by a seed, which is done for one job at a time."""
        return self.options.seed is not None and self.options.temperature > 0

    @property
    def must_stay(self) -> bool:
        """Whether to go on elsewhere would change what is written: the engine counts draws and repeats from 0."""
        return self.is_seeded or self.options.repetition_penalty != 1

    @property
    def continued(self) -> Prompt:
        """The prompt and what was written so far, to go on from."""
        return Prompt([*self.prompt.ids, *self.ids], self.prompt.prefix)

    @property
    def left(self) -> int:
        """Tokens that may still be written."""
        return self.options.max_tokens - len(self.ids)

    def take(self, token: Token) -> bool:
        """A further token, in the engine's thread; whether the answer ends with it."""
        if self.gone or self.ended:
            return True
        self.ids.append(token.id)
        piece = self._stream.take(token.id)
        self._pending.append(Written(piece, token.id, token.logprob))
        told = self._stopper.take(piece)
        if told:
            self._post(Piece(told, tuple(self._pending)))
            self._pending.clear()
        if self._stopper.hit is not None:
            self.end("stop")
        elif self.left <= 0:
            self.end("length")
        return self.ended

    def end(self, finish: Finish) -> None:
        """No more tokens come."""
        if self.ended:
            return
        rest = self._stream.rest()
        if rest and self._pending:  # half a character, say: of the token that it came with
            self._pending[-1] = replace(self._pending[-1], text=self._pending[-1].text + rest)
        last = self._stopper.take(rest) + self._stopper.rest()
        if self._pending:
            self._post(Piece(last, tuple(self._pending)))
            last = ""
        hit = self._stopper.hit
        self.ended = True
        self._post(End(last, "stop" if hit is not None else finish, len(self.ids), hit))

    def fail(self, error: PenjingError) -> None:
        """It cannot be finished."""
        if not self.ended:
            self.ended = True
            self._post(error)

    def _post(self, event: Event) -> None:
        try:
            self.loop.call_soon_threadsafe(self._tell, event)
        except RuntimeError:  # the loop has ended, and with it everyone who waited
            self.gone = True
