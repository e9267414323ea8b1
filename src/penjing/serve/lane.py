"""One loaded version at work: its queue, and one worker thread for each engine instance.

A worker takes a batch whenever its engine is free; there is no timer. Promises: exactly one reply
for each accepted request, by its deadline; callers that have left are skipped before packing; no
caller is stranded by another's cancellation or failure.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from penjing.core.errors import InvalidRequestError, NotReadyError, OverloadedError, ServingError
from penjing.engines import Engine
from penjing.serve.batching import Outcome, Packing, Piece, cut_to_pieces, run_pieces
from penjing.serve.queue import Permit, TokenQueue
from penjing.serve.work import Work
from penjing.tokens import Encoding, Reads

_LOG = logging.getLogger(__name__)
_FIRST_GUESS_TOKENS_PER_S = 5000.0
_MEMORY = 0.8  # how much of the past the running mean of speed keeps with each batch


class Lane:
    """See the module.

    Args:
        engine: closed together with the lane.
        name: for threads, logs and messages: ``model/version``.
        batch_tokens: token budget of one batch.
        max_queue_tokens: tokens admitted and waiting, beyond which requests are refused.
        pad_id: token id for empty cells.
        reads: what the head reads of each sequence.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        batch_tokens: int,
        max_queue_tokens: int,
        pad_id: int = 0,
        reads: Reads = "first",
    ) -> None:
        self.name = name
        self.engine = engine
        self._batch_tokens = batch_tokens
        self._packing = Packing(pad_id, reads)
        self._queue: TokenQueue[Piece] = TokenQueue(max_tokens=max_queue_tokens)
        self._open: set[Work] = set()
        self._recent_tokens, self._recent_s = _FIRST_GUESS_TOKENS_PER_S, 1.0
        self.failures = 0
        self.executions = 0
        self._workers = [
            threading.Thread(target=self._work, name=f"engine {name} #{number}", daemon=True)
            for number in range(engine.instances)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def queue_tokens(self) -> int:
        """Tokens admitted and not yet taken by an engine."""
        return self._queue.tokens

    @property
    def tokens_per_s(self) -> float:
        """Speed of all instances together, as measured lately."""
        return self._recent_tokens / self._recent_s * len(self._workers)

    def admit(self, tokens: int) -> Permit:
        """Room in the queue, at once or not at all.

        Raises:
            OverloadedError: says after how long the queue will have drained.
            InvalidRequestError: it would never fit, and one request must not hold all others up.
        """
        if tokens > self._queue.max_tokens:
            raise InvalidRequestError(
                f"the request has some {tokens} tokens",
                expected=f"at most {self._queue.max_tokens}",
                do="Split it, or raise max_queue_tokens.",
            )
        permit = self._queue.admit(tokens)
        if permit is None:
            waiting = self._queue.tokens
            raise OverloadedError(
                f"the queue of {self.name} is full: {waiting} tokens wait, {tokens} more came",
                expected=f"at most {self._queue.max_tokens} together",
                do="Come back later, or serve from more instances.",
                retry_after_s=waiting / self.tokens_per_s,
            )
        return permit

    def release(self, permit: Permit) -> None:
        """Give room back. To be called once for each permit, whatever happened."""
        self._queue.release(permit)

    async def answer(
        self, sequences: Sequence[Encoding], *, permit: Permit, deadline: float, reads: Reads | None = None
    ) -> Work:
        """Run a request.

        Args:
            sequences: at least one, none empty.
            permit: from :meth:`admit`; released by the caller.
            deadline: on the clock of ``time.monotonic``.
            reads: what is wanted of each sequence, if not what the head reads.

        Returns:
            The finished work: its future holds the outputs.

        Raises:
            DeadlineError: the deadline came first.
            NotReadyError: the lane is closed.
            ServingError: the engine failed on this very request.
        """
        loop = asyncio.get_running_loop()
        work = Work(permit, loop=loop)
        pieces = cut_to_pieces(work, sequences, budget=self._batch_tokens, reads=reads)
        work.expect(len(pieces))
        self._queue.resize(permit, sum(piece.tokens for piece in pieces))
        timer = loop.call_later(max(0.0, deadline - work.accepted_at), work.expire)
        self._open.add(work)
        try:
            if not self._queue.put(pieces):
                raise _closed(self.name)
            await work.future
            return work
        finally:
            work.gone = True
            timer.cancel()
            self._open.discard(work)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Answer what is still open with NotReadyError, let running batches end, free the engine.

        An engine that hangs is left behind after ``timeout_s``; its thread does not keep the process alive.
        """
        self._queue.close()
        for work in list(self._open):
            _post(work.loop, partial(work.fail, _closed(self.name)))
        until = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        if any(worker.is_alive() for worker in self._workers):
            _LOG.error("engine %s did not end within %.0f s and is left behind", self.name, timeout_s)
            return
        self.engine.close()

    def _work(self) -> None:
        while pieces := self._queue.take(self._batch_tokens):
            wanted = [piece for piece in pieces if not piece.work.gone]
            if wanted:
                self._run(wanted)

    def _run(self, pieces: list[Piece]) -> None:
        began = time.monotonic()
        for piece in pieces:
            piece.work.taken_at = piece.work.taken_at or began
        for outcomes in run_pieces(self.engine, pieces, packing=self._packing):
            self.executions += any(outcome.outputs is not None for outcome in outcomes)
            for outcome in outcomes:
                if outcome.error is not None:
                    self.failures += 1
                    _LOG.error("%s: %s", self.name, outcome.error, exc_info=outcome.error.__cause__)
            self._reply(outcomes)
        self._learn_speed(sum(piece.tokens for piece in pieces), time.monotonic() - began)

    def _reply(self, outcomes: list[Outcome]) -> None:
        for loop in {outcome.piece.work.loop for outcome in outcomes}:
            _post(loop, partial(_deliver, [one for one in outcomes if one.piece.work.loop is loop]))

    def _learn_speed(self, tokens: int, seconds: float) -> None:
        self._recent_tokens = _MEMORY * self._recent_tokens + tokens
        self._recent_s = _MEMORY * self._recent_s + max(seconds, 1e-6)


def _deliver(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        work = outcome.piece.work
        if outcome.outputs is None:
            work.fail(outcome.error or ServingError("the engine gave no answer"))
        else:
            work.deliver(
                outcome.piece.number,
                outcome.outputs,
                fill=outcome.fill,
                ran_at=outcome.ran_at,
                stages=outcome.stages,
            )


def _post(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:  # the loop has ended, and with it everyone who waited
        _LOG.debug("an answer came after the event loop had ended")


def _closed(name: str) -> NotReadyError:
    return NotReadyError(f"{name} is being unloaded", do="Send the request again.")
