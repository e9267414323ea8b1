"""One loaded model that writes, at work: its queue, and a worker thread for each instance of its engine.

A worker takes all that is alike and waits, up to its share, and runs it as one batch. When others wait,
a batch that has had its turn gives way: its answers wait again, each with what is written so far as part of its
prompt, and go on together with those that came. So nobody waits for another's long answer, and a
server with few users pays nothing for it. Price: what was written is read once more at each turn.

Promises: exactly one end for each accepted job; a job whose client has left stops with the next token; what the
engine may have to hold at once is bounded by ``max_tokens``; a failure of one batch is told to its jobs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from penjing.core.errors import InvalidRequestError, NotReadyError, OverloadedError, PenjingError, ServingError
from penjing.engines import Generator, Token
from penjing.serve.queue import Permit
from penjing.serve.writing.job import Job

_LOG = logging.getLogger(__name__)
_FIRST_GUESS_TOKENS_PER_S = 50.0
_MEMORY = 0.8
TURN_TOKENS = 32  # that a batch writes before it gives way to others
MOST_TOGETHER = 16  # jobs of one batch: on a core, more add waiting rather than throughput


class WritingLane:
    """See the module.

    Args:
        engine: closed together with the lane.
        name: for threads, logs and messages: ``model/version``.
        max_tokens: of all accepted jobs, prompts and answers to come together.
        turn_tokens: see :data:`TURN_TOKENS`.
    """

    def __init__(self, engine: Generator, *, name: str, max_tokens: int, turn_tokens: int = TURN_TOKENS) -> None:
        self.name, self.engine = name, engine
        self.failures = self.executions = 0
        self._max_tokens, self._turn_tokens = max_tokens, turn_tokens
        self._held = 0
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._is_open = True
        self._changed = threading.Condition(threading.Lock())
        self._recent_tokens, self._recent_s = _FIRST_GUESS_TOKENS_PER_S, 1.0
        self._workers = [
            threading.Thread(target=self._work, name=f"writer {name} #{number}", daemon=True)
            for number in range(engine.instances)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def queue_tokens(self) -> int:
        """Tokens of accepted jobs: prompts, and answers as long as they may become."""
        return self._held

    @property
    def tokens_per_s(self) -> float:
        """Tokens written a second by all instances together, as measured lately."""
        return self._recent_tokens / self._recent_s * len(self._workers)

    def admit(self, tokens: int) -> Permit:
        """Room for a request, at once or not at all.

        Raises:
            OverloadedError: says after how long there should be some.
            InvalidRequestError: it would never fit.
        """
        if tokens > self._max_tokens:
            raise InvalidRequestError(
                f"the request may come to {tokens} tokens",
                expected=f"at most {self._max_tokens}",
                do="Ask for fewer or shorter answers, or raise max_queue_tokens.",
            )
        with self._changed:
            if self._held + tokens > self._max_tokens:
                raise OverloadedError(
                    f"{self.name} is busy: requests of {self._held} tokens are under way, {tokens} more came",
                    expected=f"at most {self._max_tokens} together",
                    do="Come back later, or ask for shorter answers.",
                    retry_after_s=tokens / self.tokens_per_s,
                )
            self._held += tokens
        return Permit(tokens)

    def release(self, permit: Permit) -> None:
        """Give room back. To be called once for each permit, whatever happened."""
        with self._changed:
            self._held -= permit.tokens
            permit.tokens = 0

    def put(self, jobs: Sequence[Job]) -> None:
        """Let jobs wait for an engine.

        Raises:
            NotReadyError: the lane is closed.
        """
        with self._changed:
            if not self._is_open:
                raise _closed(self.name)
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def drop(self, jobs: Sequence[Job]) -> None:
        """Nobody reads these any more."""
        with self._changed:
            for job in jobs:
                job.gone = True
            self._waiting = deque(job for job in self._waiting if not job.gone)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Answer what is still open with NotReadyError, let running batches end, free the engine."""
        with self._changed:
            self._is_open = False
            left = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify_all()
        for job in left:
            job.fail(_closed(self.name))
        until = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        if any(worker.is_alive() for worker in self._workers):
            _LOG.error("writer %s did not end within %.0f s and is left behind", self.name, timeout_s)
            return
        self.engine.close()

    def _work(self) -> None:
        while jobs := self._take():
            began, before = time.monotonic(), sum(len(job.ids) for job in jobs)
            try:
                self._run_or_tell(jobs)
            finally:
                self._put_back(jobs)
            self._learn_speed(sum(len(job.ids) for job in jobs) - before, time.monotonic() - began)

    def _take(self) -> list[Job]:
        """The first that waits, and its like up to a fair share of all there is; none when the lane is closed."""
        with self._changed:
            while self._is_open and not self._waiting:
                self._changed.wait()
            if not self._is_open:
                return []
            share = -(-(len(self._waiting) + len(self._running)) // len(self._workers))
            first = self._waiting.popleft()
            taken, others = [first], deque[Job]()
            for job in self._waiting:
                fits = not first.is_seeded and len(taken) < min(share, MOST_TOGETHER) and job.alike == first.alike
                (taken if fits else others).append(job)
            self._waiting = others
            self._running |= set(taken)
        now = time.monotonic()
        for job in taken:
            job.taken_at = job.taken_at or now
        return taken

    def _run_or_tell(self, jobs: list[Job]) -> None:
        """Run a batch; where that fails, each of its jobs alone, so that only the guilty one fails."""
        try:
            self._run(jobs)
        except Exception as error:  # noqa: BLE001  whatever an engine raises, its jobs are told and the lane lives
            alive = [job for job in jobs if not job.ended and not job.gone]
            if len(jobs) == 1:
                self._fail(alive, error)
                return
            _LOG.warning("%s: a batch of %d failed, each is run alone: %s", self.name, len(jobs), error)
            for job in alive:
                self._run_or_tell([job])

    def _run(self, jobs: list[Job]) -> None:
        stays = jobs[0].must_stay
        options = replace(jobs[0].options, max_tokens=max(job.left for job in jobs))
        begun = [len(job.ids) for job in jobs]

        def on_token(row: int, token: Token) -> bool:
            job = jobs[row]
            if job.take(token):
                return True
            had_its_turn = len(job.ids) - begun[row] >= self._turn_tokens
            return had_its_turn and not stays and bool(self._waiting)

        answers = self.engine.generate([job.continued for job in jobs], options, on_token=on_token)
        self.executions += 1
        for job, (answer, *_) in zip(jobs, answers, strict=True):
            if answer.finish != "stopped":  # by us, who know why
                job.end("stop" if answer.finish == "stop" else "length")

    def _put_back(self, jobs: list[Job]) -> None:
        """Those that gave way wait again."""
        with self._changed:
            self._running -= set(jobs)
            again = [job for job in jobs if not job.ended and not job.gone]
            if self._is_open:
                self._waiting.extend(again)
                self._changed.notify_all()
        if not self._is_open:
            for job in again:
                job.fail(_closed(self.name))

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        self.failures += len(jobs)
        _LOG.error("%s: %s", self.name, error, exc_info=error)
        told = error if isinstance(error, PenjingError) else ServingError(f"{self.name} failed on this request")
        for job in jobs:
            job.fail(told)

    def _learn_speed(self, tokens: int, seconds: float) -> None:
        self._recent_tokens = _MEMORY * self._recent_tokens + tokens
        self._recent_s = _MEMORY * self._recent_s + max(seconds, 1e-6)


def _closed(name: str) -> NotReadyError:
    return NotReadyError(f"{name} is being unloaded", do="Send the request again.")
