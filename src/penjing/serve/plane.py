"""The data plane: the one path every dialect's predictions take.

admit (tokens, deadline) → tokenise → check → queue → pack and run → answers

Promises: exactly one outcome for each call; a refusal comes at once; nothing is cut in silence.
Whoever only wants a text's tokens is admitted by the same rules. Knows nothing of HTTP or of any dialect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import replace
from typing import Literal, TypeVar, cast

import numpy as np

from penjing.core.errors import DeadlineError, InvalidRequestError, OverloadedError
from penjing.engines import Prompt
from penjing.security.permits import free
from penjing.serve.answers import Answers, Cost, Floats, Inputs
from penjing.serve.metrics import Metrics
from penjing.serve.queue import Permit
from penjing.serve.sight import KnownModels, must_predict
from penjing.serve.versions import Servable, Version
from penjing.serve.watching import Watching
from penjing.serve.work import Work
from penjing.serve.writing.request import Wish, Writing
from penjing.serve.writing.writer import writes_only
from penjing.tasks.asked import Asked
from penjing.tokens import Encoding, Reads
from penjing.tokens.encode import Spelling, Text

# Up to here the event loop tokenises by itself: about 0.3 ms, less than a thread costs to wake twice.
ON_LOOP_CHARACTERS = 500
_CHARACTERS_PER_TOKEN = 4
_DRAIN_RETRY_S = 1.0

T = TypeVar("T")
LongText = Literal["cut", "refuse"]


class DataPlane:
    """See the module.

    Args:
        models: what can be asked.
        metrics: where costs are counted.
        long_text: ``cut`` text over the model's limit, and count it, or ``refuse`` it.
        writing_timeout_s, max_new_tokens: see :class:`penjing.serve.recipe.ServeRecipe`.
        watching: what is written down of each request; None is nothing.
        is_guarded: only requests whose permit says so may ask for predictions.
    """

    def __init__(
        self,
        models: KnownModels,
        metrics: Metrics,
        *,
        long_text: LongText = "cut",
        writing_timeout_s: float = 600.0,
        max_new_tokens: int = 512,
        watching: Watching | None = None,
        is_guarded: bool = False,
    ) -> None:
        self.is_guarded, self._must_permit = is_guarded, must_predict if is_guarded else lambda _model: free
        self.watching = None if watching is None or watching.is_idle else watching
        self.writing_timeout_s, self._max_new_tokens = writing_timeout_s, max_new_tokens
        self.models, self.metrics, self.is_draining = models, metrics, False
        self.long_text: LongText = long_text
        self._side = ThreadPoolExecutor(max_workers=2, thread_name_prefix="aside")

    def hold(self, model: str, ref: int | str | None = None) -> AbstractContextManager[Version]:
        """Find a version and keep it loaded. See :meth:`Models.hold`."""
        return self.models.hold(model, ref)

    async def predict(self, model: str, ref: int | str | None, inputs: Inputs, *, deadline: float) -> Answers:
        """Hold a version and ask it. See :meth:`ask`."""
        with self.hold(model, ref) as version:
            return await self.ask(version, inputs, deadline=deadline)

    async def ask(
        self,
        version: Version,
        inputs: Inputs,
        *,
        deadline: float,
        long_text: LongText | None = None,
        reads: Reads | None = None,
    ) -> Answers:
        """Get the engine's outputs for texts, pairs or token ids.

        Args:
            version: from :meth:`hold`, still held.
            inputs: all texts (or pairs), or all encodings.
            deadline: on the clock of ``time.monotonic``.
            long_text: other than the server's own rule.
            reads: what is wanted of each sequence, if not what the head reads: ``tokens``, of an embedding model.

        Raises:
            OverloadedError: no room, or the server is stopping.
            DeadlineError: too late, before or after queueing.
            InvalidRequestError: empty input, ids the model does not know, or too long.
            NotReadyError, ServingError: the version went away, or failed on this input.
        """
        charge = self._must_permit(version.model)
        began = time.monotonic()
        if version.servable.writes:  # counted as it is written
            return await self._written(version, inputs, deadline=deadline)
        try:
            answers = await self._ask(
                version, inputs, deadline=deadline, long_text=long_text or self.long_text, reads=reads
            )
        except Exception:
            version.usage.add(None, sequences=0, seconds=time.monotonic() - began)
            raise
        charge(answers.cost.tokens)
        version.usage.add(answers.cost, sequences=len(inputs), seconds=time.monotonic() - began)
        return answers

    def write(self, version: Version, prompts: Sequence[Prompt], wish: Wish, *, deadline: float) -> Writing:
        """Begin to write answers to prompts. See :class:`Writing`, also for what it raises."""
        charge = self._must_permit(version.model)
        return Writing(
            self.metrics.of(version.model),
            version,
            prompts,
            wish=wish,
            deadline=deadline,
            default_tokens=self._max_new_tokens,
            is_draining=self.is_draining,
            charge=charge,
        )

    async def spell(self, version: Version, texts: Sequence[str], *, special: bool, deadline: float) -> list[Spelling]:
        """The tokens of texts, uncut, with their places in the text.

        Args:
            version: from :meth:`hold`, still held.
            texts: as the caller wrote them.
            special: with the tokens that the model wants around a text.
            deadline: on the clock of ``time.monotonic``.

        Raises:
            OverloadedError, DeadlineError, InvalidRequestError: as :meth:`ask`; a character counts as a token.
        """
        self._must_permit(version.model)
        servable = version.servable
        characters = _characters(texts)
        permit = self._admit(version, characters, deadline=deadline)
        try:
            if characters <= ON_LOOP_CHARACTERS:
                return servable.answering.spell(texts, special=special)
            return await self.aside(lambda: servable.answering.spell(texts, special=special), deadline=deadline)
        finally:
            servable.any_lane.release(permit)

    async def aside(self, function: Callable[[], T], *, deadline: float) -> T:
        """Compute something long off the event loop, so that others are not held up; the permit goes along.

        Raises:
            DeadlineError: it was not done in time.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await asyncio.get_running_loop().run_in_executor(self._side, copy_context().run, function)
        except TimeoutError as error:
            raise DeadlineError("the deadline passed while the request was being read", waiting=True) from error

    def close(self) -> None:
        """Unload the models and end the threads."""
        self.models.close()
        self._side.shutdown(wait=False, cancel_futures=True)
        if self.watching:
            self.watching.close()

    async def _ask(
        self, version: Version, inputs: Inputs, *, deadline: float, long_text: LongText, reads: Reads | None
    ) -> Answers:
        servable = version.servable
        lane = servable.lane
        permit = self._admit(version, _estimate(inputs, servable), deadline=deadline)
        try:
            began = time.monotonic()
            asked = await self._encode(inputs, servable, deadline=deadline)
            encodings = cast("Sequence[Encoding]", inputs) if asked is None else asked.sequences
            tokenize_ms = (time.monotonic() - began) * 1000
            self._check(encodings, servable, long_text=long_text)
            if not encodings:
                return _answers(version, _no_outputs(servable), Cost(), encodings, asked)
            work = await lane.answer(encodings, permit=permit, deadline=deadline, reads=reads)
        finally:
            lane.release(permit)
        cost = _cost(work, encodings, tokenize_ms=tokenize_ms)
        self.metrics.of(version.model).answered(cost, sequences=len(encodings))
        return _answers(version, work.future.result(), cost, encodings, asked)

    async def _written(self, version: Version, inputs: Inputs, *, deadline: float) -> Answers:
        """Texts for texts: the most probable ones, as long as the server lets them become."""
        side = version.servable.side
        if not all(isinstance(text, str) for text in inputs):
            raise writes_only()
        prompts = await self.aside(lambda: [side.prompt(str(text)) for text in inputs], deadline=deadline)
        if not prompts:
            return _answers(version, np.zeros((0, 0), np.float32), Cost(), [], None)
        writing = self.write(version, prompts, Wish(), deadline=deadline)
        texts = [answer.text for answer in await writing.answers()]
        return replace(_answers(version, np.zeros((0, 0), np.float32), writing.cost(), [], None), texts=texts)

    def _admit(self, version: Version, tokens: int, *, deadline: float) -> Permit:
        meters = self.metrics.of(version.model)
        if self.is_draining:
            meters.refused("draining")
            raise OverloadedError("the server is stopping", do="Ask another replica.", retry_after_s=_DRAIN_RETRY_S)
        if time.monotonic() >= deadline:
            raise DeadlineError("the deadline had passed when the request came", waiting=True)
        try:
            return version.servable.any_lane.admit(tokens)
        except OverloadedError:
            meters.refused("overloaded")
            raise

    async def _encode(self, inputs: Inputs, servable: Servable, *, deadline: float) -> Asked | None:
        """The texts made ready; None where the inputs are token ids already."""
        if not inputs or isinstance(inputs[0], Encoding):
            return None
        texts = cast("Sequence[Text]", inputs)
        if _characters(texts) <= ON_LOOP_CHARACTERS:
            return servable.answering.encode(texts)
        return await self.aside(lambda: servable.answering.encode(texts), deadline=deadline)

    def _check(self, encodings: Sequence[Encoding], servable: Servable, *, long_text: LongText) -> None:
        longest, known = servable.answering.max_tokens, servable.answering.vocabulary_size
        for index, encoding in enumerate(encodings):
            ids = encoding.ids
            if not 0 < len(ids) <= longest:
                raise InvalidRequestError(f"input {index} has {len(ids)} tokens", expected=f"1 to {longest}")
            if np.count_nonzero(ids.view(np.uint64) >= known):  # a negative id becomes a huge one
                odd = next(int(one) for one in ids if not 0 <= one < known)
                raise InvalidRequestError(f"input {index} has token id {odd}", expected=f"ids from 0 to {known - 1}")
            types = encoding.type_ids
            if types is not None and np.count_nonzero(types.view(np.uint64) > 1):
                odd = next(int(one) for one in types if not 0 <= one <= 1)
                raise InvalidRequestError(
                    f"input {index} has token type {odd}", expected="0 or 1: which text of a pair"
                )
            if encoding.cut and long_text == "refuse":
                raise InvalidRequestError(f"text {index} is over {longest} tokens", do="Send a shorter text.")


def _characters(texts: Sequence[Text]) -> int:
    return sum(len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) for text in texts)


def _estimate(inputs: Inputs, servable: Servable) -> int:
    """Tokens a request will have: exact for encodings, a guess for text, corrected after tokenising."""
    if not inputs or isinstance(inputs[0], Encoding):
        return sum(map(len, cast("Sequence[Encoding]", inputs)))
    guess = _characters(cast("Sequence[Text]", inputs)) // _CHARACTERS_PER_TOKEN + 2 * len(inputs)
    answering = servable.answering
    return guess if answering.windowed else min(guess, answering.max_tokens * len(inputs))


def _cost(work: Work, encodings: Sequence[Encoding], *, tokenize_ms: float) -> Cost:
    taken_at = work.taken_at or work.accepted_at
    return Cost(
        tokenize_ms=tokenize_ms,
        queue_ms=(taken_at - work.accepted_at) * 1000,
        run_ms=(work.ran_at - taken_at) * 1000,
        tokens=sum(map(len, encodings)),
        cut=sum(encoding.cut for encoding in encodings),
        batch_fill=work.fill,
        stages=work.stages,
    )


def _answers(
    version: Version, outputs: Floats, cost: Cost, sequences: Sequence[Encoding], asked: Asked | None
) -> Answers:
    manifest = version.servable.manifest
    return Answers(
        version.model,
        version.number,
        manifest.labels,
        outputs,
        cost,
        sequences=sequences,
        decoding=manifest.decoding,
        problem=manifest.problem_type,
        asked=asked,
    )


def _no_outputs(servable: Servable) -> np.ndarray:
    embedding = servable.manifest.embedding
    return np.zeros((0, embedding.size if embedding else len(servable.labels)), np.float32)
