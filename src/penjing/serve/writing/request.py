"""The answers to one request, from admission to the last event, in no dialect's words.

Promises: refused at once or accepted; whatever happens then (an end, an error, the deadline, a client that
left) the room is given back, the version is left and the request is counted, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from penjing.core.errors import ContextLengthError, DeadlineError, NotReadyError, OverloadedError, PenjingError
from penjing.engines import GenerationOptions, Prompt
from penjing.security.permits import Charge, free
from penjing.serve.answers import Cost
from penjing.serve.metrics import ModelMeters
from penjing.serve.queue import Permit
from penjing.serve.versions import Version
from penjing.serve.writing.job import End, Event, Finish, Job, Piece, Written
from penjing.serve.writing.writer import TextSide

_DRAIN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of each prompt.

    Attributes:
        options: how answers are chosen; its ``max_tokens`` is not looked at.
        max_tokens: of an answer; None is the server's own limit, or what room there is.
        answers: how many to each prompt.
        stops: strings that end an answer.
    """

    options: GenerationOptions = field(default_factory=GenerationOptions)
    max_tokens: int | None = None
    answers: int = 1
    stops: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """One finished answer."""

    text: str = ""
    tokens: list[Written] = field(default_factory=list)
    finish: Finish = "length"
    stopped_by: str | None = None


class Writing:
    """See the module.

    Args:
        meters: of the model.
        version: held by the caller; entered once more, until this is closed.
        prompts: what is continued.
        wish: how.
        deadline: on the clock of ``time.monotonic``.
        default_tokens: of an answer where the wish says nothing.
        is_draining: refuse, since the server is stopping.
        charge: is told the tokens that were read and written in the end.

    Attributes:
        prompt_tokens: of all prompts, each counted once.
        written_tokens: so far.

    Raises:
        ContextLengthError: a prompt, or a prompt and its answer, are longer than the model reads.
        OverloadedError: no room, or the server is stopping.
        InvalidRequestError: the request would never fit.
        NotReadyError: the version is being unloaded.
    """

    def __init__(
        self,
        meters: ModelMeters,
        version: Version,
        prompts: Sequence[Prompt],
        *,
        wish: Wish,
        deadline: float,
        default_tokens: int,
        is_draining: bool = False,
        charge: Charge = free,
    ) -> None:
        self._charge = charge
        self._meters, self._version, self._deadline = meters, version, deadline
        self._lane = version.servable.writing
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._closed = False
        self.began = time.monotonic()
        self.prompt_tokens, self.written_tokens = sum(len(prompt.ids) for prompt in prompts), 0
        self._jobs = self._jobs_for(prompts, wish, default_tokens)
        self._permit = self._admit(sum(job.tokens for job in self._jobs), is_draining=is_draining)
        try:
            self._lane.put(self._jobs)
            if not version.enter():
                raise NotReadyError(f"{version.model}/{version.number} is being unloaded", do="Send the request again.")
        except PenjingError:
            self._lane.drop(self._jobs)
            self._lane.release(self._permit)
            raise

    async def events(self) -> AsyncIterator[tuple[int, Piece | End]]:
        """(number of the answer, what came of it), in the order in which it comes. Closes itself.

        Raises:
            DeadlineError: the deadline came first.
            ServingError: an answer failed; the others end with it.
        """
        try:
            open_answers = len(self._jobs)
            while open_answers:
                number, event = await self._next()
                if isinstance(event, PenjingError):
                    raise event
                open_answers -= isinstance(event, End)
                self.written_tokens += len(event.tokens) if isinstance(event, Piece) else 0
                yield number, event
        except BaseException:
            self.close(failed=True)
            raise
        self.close()

    async def answers(self) -> list[Answer]:
        """All answers, whole. See :meth:`events`."""
        found = [Answer() for _ in self._jobs]
        async for number, event in self.events():
            answer = found[number]
            answer.text += event.text
            if isinstance(event, Piece):
                answer.tokens.extend(event.tokens)
            else:
                answer.finish, answer.stopped_by = event.finish, event.stopped_by
        return found

    def close(self, *, failed: bool = False) -> None:
        """Stop what is still written, give the room back, count the request, leave the version. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._lane.drop(self._jobs)
        self._lane.release(self._permit)
        cost, seconds = self.cost(), time.monotonic() - self.began
        self._charge(cost.tokens)
        self._version.usage.add(None if failed else cost, sequences=len(self._jobs), seconds=seconds)
        if not failed:
            self._meters.answered(cost, sequences=len(self._jobs))
        self._version.leave()

    def cost(self) -> Cost:
        """What it took so far."""
        now = time.monotonic()
        taken = min((job.taken_at or now for job in self._jobs), default=now)
        return Cost(
            queue_ms=(taken - self.began) * 1000,
            run_ms=(now - taken) * 1000,
            tokens=self.prompt_tokens + self.written_tokens,
        )

    def _jobs_for(self, prompts: Sequence[Prompt], wish: Wish, default_tokens: int) -> list[Job]:
        side = self._version.servable.side
        limits = [answer_limit(side, prompt, wish.max_tokens, default=default_tokens) for prompt in prompts]
        return [
            Job(
                prompt,
                replace(wish.options, max_tokens=limit, seed=_seed(wish.options.seed, number)),
                stops=wish.stops,
                stream=side.stream(prompt),
                tell=self._teller(at * wish.answers + number),
            )
            for at, (prompt, limit) in enumerate(zip(prompts, limits, strict=True))
            for number in range(wish.answers)
        ]

    def _admit(self, tokens: int, *, is_draining: bool) -> Permit:
        if is_draining:
            self._meters.refused("draining")
            raise OverloadedError("the server is stopping", do="Ask another replica.", retry_after_s=_DRAIN_RETRY_S)
        try:
            return self._lane.admit(tokens)
        except OverloadedError:
            self._meters.refused("overloaded")
            raise

    async def _next(self) -> tuple[int, Event]:
        left = self._deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                return await self._events.get()
        except TimeoutError as error:
            waiting = not any(job.taken_at for job in self._jobs)
            seconds = time.monotonic() - self.began
            raise DeadlineError(f"the deadline passed after {seconds:.1f} s of writing", waiting=waiting) from error

    def _teller(self, number: int) -> Callable[[Event], None]:
        return lambda event: self._events.put_nowait((number, event))


def answer_limit(side: TextSide, prompt: Prompt, wanted: int | None, *, default: int) -> int:
    """Tokens that an answer may have.

    Args:
        side: of the model.
        prompt: what is continued.
        wanted: by the request; None is not said.
        default: where it is not said and there is room.

    Raises:
        ContextLengthError: there is no room, or not as much as was wanted.
    """
    asked, room, most = len(prompt.ids), side.room(prompt), side.max_tokens
    if room < 1 or (wanted is not None and wanted > room):
        more = f" ({asked} in the prompt, {wanted} in the answer)" if wanted and room >= 1 else ""
        raise ContextLengthError(
            f"This model's maximum context length is {most} tokens. However, you requested "
            f"{asked + (wanted or 0 if room >= 1 else 0)} tokens{more}. Please reduce the length of the prompt"
            f"{' or of the answer' if more else ''}."
        )
    return min(default, room) if wanted is None else wanted


def _seed(seed: int | None, number: int) -> int | None:
    """Several answers to one prompt are different draws."""
    return None if seed is None else seed + number
