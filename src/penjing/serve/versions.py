"""One version of one model: its state, and who is using it.

States, their numbers and their meaning are TensorFlow Serving's. Promises: a version is entered
only while AVAILABLE; it is unloaded only after everyone who entered has left, or after a bounded
wait; a version that failed to load says why.

Source: ``tensorflow_serving/apis/get_model_status.proto``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from penjing.core.errors import PenjingError, UnsupportedError
from penjing.serve.answers import Cost
from penjing.serve.lane import Lane
from penjing.serve.writing.lane import WritingLane
from penjing.serve.writing.writer import TextSide, writes_only
from penjing.store.manifest import Manifest
from penjing.tasks.answering import Answerer


class State(IntEnum):
    """Where a version is in its life."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(slots=True)
class Usage:
    """What a version has done since it was taken up. Counted on the event loop only.

    Attributes:
        answered, failed: requests.
        answered_s, failed_s: their whole time, summed.
        sequences: texts or token lists answered.
        tokenize_ms, queue_ms, run_ms: the parts of the answered requests' cost, summed.
        last_s: when a request last ended, in seconds since the epoch; 0 before the first.
    """

    answered: int = 0
    failed: int = 0
    answered_s: float = 0.0
    failed_s: float = 0.0
    sequences: int = 0
    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    run_ms: float = 0.0
    last_s: float = 0.0

    def add(self, cost: Cost | None, *, sequences: int, seconds: float) -> None:
        """Count a request; one without a cost has failed."""
        self.last_s = time.time()
        if cost is None:
            self.failed, self.failed_s = self.failed + 1, self.failed_s + seconds
            return
        self.answered, self.answered_s = self.answered + 1, self.answered_s + seconds
        self.sequences += sequences
        self.tokenize_ms += cost.tokenize_ms
        self.queue_ms += cost.queue_ms
        self.run_ms += cost.run_ms


class Servable:
    """What loading a version gives.

    Args:
        manifest: the bundle's.
        answering: from texts to token ids, and from outputs to answers; of a model that writes, to prompts.
        lane: its engine at work.
    """

    __slots__ = ("answering", "any_lane", "labels", "manifest")

    def __init__(self, manifest: Manifest, answering: Answerer, lane: Lane | WritingLane) -> None:
        self.manifest = manifest
        self.answering = answering
        self.any_lane = lane
        self.labels = manifest.labels

    @property
    def writes(self) -> bool:
        """Whether it answers with text, token by token."""
        return isinstance(self.any_lane, WritingLane)

    @property
    def lane(self) -> Lane:
        """The lane of a model that answers in one pass.

        Raises:
            UnsupportedError: it writes instead.
        """
        if isinstance(self.any_lane, WritingLane):
            raise writes_only()
        return self.any_lane

    @property
    def writing(self) -> WritingLane:
        """The lane of a model that writes.

        Raises:
            UnsupportedError: it does not.
        """
        if not isinstance(self.any_lane, WritingLane):
            raise UnsupportedError(f"a model for {self.manifest.task.value} writes no text")
        return self.any_lane

    @property
    def side(self) -> TextSide:
        """Its texts, of a model that writes."""
        self.writing  # noqa: B018  refuses others
        return cast("TextSide", self.answering)


class Version:
    """See the module.

    Attributes:
        model, number: which version.
        state: see :class:`State`.
        error: why it could not be loaded; None where nothing failed.
        tries: how often loading was tried.
        failed_at: monotonic seconds of the last failure.
        usage: what it has done.
    """

    def __init__(self, model: str, number: int) -> None:
        self.model = model
        self.number = number
        self.state = State.START
        self.error: PenjingError | None = None
        self.tries = 0
        self.failed_at = 0.0
        self.usage = Usage()
        self._servable: Servable | None = None
        self._inside = 0
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)

    @property
    def servable(self) -> Servable:
        """What was loaded. Only for those who have entered."""
        if self._servable is None:
            raise RuntimeError(f"{self.model}/{self.number} was used without being entered")
        return self._servable

    @property
    def lane(self) -> Lane | WritingLane | None:
        """Its lane while it has one."""
        return self._servable.any_lane if self._servable else None

    def begin(self) -> None:
        """Loading starts."""
        with self._lock:
            self.state, self.error, self.tries = State.LOADING, None, self.tries + 1

    def ready(self, servable: Servable) -> None:
        """Loaded and warm: requests may enter."""
        with self._lock:
            self._servable, self.state = servable, State.AVAILABLE

    def failed(self, error: PenjingError) -> None:
        """It could not be loaded."""
        with self._lock:
            self.state, self.error, self.failed_at = State.END, error, time.monotonic()

    def forget_failure(self) -> None:
        """Let a version that could not be loaded be tried again, at once and as often as a new one."""
        with self._lock:
            if self.state is State.END and self.error is not None:
                self.tries, self.failed_at = 0, float("-inf")

    def enter(self) -> bool:
        """Begin to use the version; False if it is not available."""
        with self._lock:
            if self.state is not State.AVAILABLE:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """End what :meth:`enter` began."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._empty.notify_all()

    def unload(self, *, wait_s: float) -> None:
        """Let nobody in, wait for those inside, free the engine."""
        with self._lock:
            if self.state is not State.AVAILABLE:
                return
            self.state = State.UNLOADING
            self._empty.wait_for(lambda: not self._inside, timeout=wait_s)
        if self._servable is not None:
            self._servable.any_lane.close()
        with self._lock:
            self.state, self._servable = State.END, None


@contextmanager
def left_after(version: Version) -> Iterator[Version]:
    """A version that was entered, for the length of a block."""
    try:
        yield version
    finally:
        version.leave()
