"""A run and its mirrors: each is told by a thread of its own, so that none can hold the run up.

Promise: whatever a mirror does (raise, wait for ever, forget its name), the run goes on and ends as without it; what
went wrong is said once. Trade: a mirror lags by some seconds, and one that lags by thousands of steps misses some.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

from penjing.app.mirrors.address import refuse_unusable, tracking_uri, without_secrets
from penjing.app.mirrors.base import Mirror, Run, Step, figures_of
from penjing.app.mirrors.mlflow_mirror import MlflowMirror
from penjing.app.mirrors.recipe import MirrorRecipe
from penjing.app.mirrors.tensorboard import TensorBoardMirror
from penjing.core.progress import Progress
from penjing.store import Bundle

_EVERY_S, _MOST_WAITING = 2.0, 10_000
_AT_THE_END_S, _BROKEN_OFF_S = 60.0, 5.0
_LONGEST = 300


def check_mirrors(recipe: MirrorRecipe) -> None:
    """Refuse before a run begins what could never work.

    Raises:
        UsageError: no URI, or one with a password in it.
        ResourceError: a package is not installed.
    """
    if recipe.mlflow is not None:
        refuse_unusable(recipe.mlflow)


@contextmanager
def mirrored(recipe: MirrorRecipe, run: Run, progress: Progress) -> Iterator[Mirrors]:
    """The mirrors of a run while it lasts; it failed unless they are told of its version.

    Args:
        recipe: where it is mirrored.
        run: the run.
        progress: where it is said that a mirror is off.
    """
    told: list[tuple[Mirror, str]] = []
    if recipe.tensorboard is not None:
        told.append((TensorBoardMirror(Path(recipe.tensorboard)), ""))
    if recipe.mlflow is not None:
        uri = tracking_uri(recipe.mlflow)
        told.append((MlflowMirror(uri, recipe.experiment), uri))
    mirrors = Mirrors([Courier(mirror, run, secret=secret) for mirror, secret in told], progress)
    try:
        yield mirrors
    finally:
        mirrors.close()


@final
class Mirrors:
    """All mirrors of a run.

    Args:
        couriers: one a mirror.
        progress: where it is said that a mirror is off.
    """

    def __init__(self, couriers: Sequence[Courier], progress: Progress) -> None:
        self._couriers, self._progress = list(couriers), progress
        self._last = 0
        self._bundle: Bundle | None = None

    def step(self, number: int, record: Mapping[str, float]) -> None:
        """Tell of a step, counted from 1, and its record; returns at once."""
        self._last = number
        for courier in self._couriers:
            courier.give(Step(number, time.time(), figures_of(record)))
        self._say_what_failed("Training goes on.")

    def end(self, bundle: Bundle) -> None:
        """The run became this version."""
        self._bundle = bundle

    def close(self) -> None:
        """Wait for the mirrors, but not long."""
        for courier in self._couriers:
            courier.close(self._bundle, self._last)
        ends_at = time.monotonic() + (_AT_THE_END_S if self._bundle else _BROKEN_OFF_S)
        for courier in self._couriers:
            courier.wait(ends_at - time.monotonic())
        self._say_what_failed("It does not show all of the run.")

    def _say_what_failed(self, what_follows: str) -> None:
        for courier in [one for one in self._couriers if one.trouble]:
            self._couriers.remove(courier)
            self._progress.say(f"The mirror in {courier.name} is off: {courier.trouble}. {what_follows}")


@final
class Courier:
    """The thread that tells one mirror.

    Args:
        mirror: called from that thread alone.
        run: what it is told first.
        secret: a URI of which no password may be shown.
    """

    def __init__(self, mirror: Mirror, run: Run, *, secret: str = "") -> None:
        self.name, self.trouble = mirror.name, ""
        self._mirror, self._run, self._secret = mirror, run, secret
        self._waiting: deque[Step] = deque(maxlen=_MOST_WAITING)
        self._lost, self._last = 0, 0
        self._bundle: Bundle | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._carry, name=f"mirror in {mirror.name}", daemon=True)
        self._thread.start()

    def give(self, step: Step) -> None:
        """Tell of a step when there is time."""
        self._lost += len(self._waiting) == _MOST_WAITING
        self._waiting.append(step)

    def close(self, bundle: Bundle | None, last: int) -> None:
        """Tell the rest, and the end."""
        self._bundle, self._last = bundle, last
        self._closing.set()

    def wait(self, seconds: float) -> None:
        """Wait for all of it to be told."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            self.trouble = self.trouble or "it does not answer"
        elif self._lost:
            self.trouble = self.trouble or f"it was too slow for {self._lost:,} steps"

    def _carry(self) -> None:
        try:
            self._mirror.begin(self._run)
            while not self._closing.wait(_EVERY_S):
                self._hand_over()
            self._hand_over()
            if self._bundle:
                self._mirror.end(self._bundle, self._last)
            else:
                self._mirror.break_off()
        except BaseException as error:  # noqa: BLE001  (what a library throws in its own thread stops nothing here)
            words = without_secrets(f"{type(error).__name__}: {error}", self._secret)
            self.trouble = " ".join(words.split())[:_LONGEST].rstrip(".")

    def _hand_over(self) -> None:
        steps = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if steps:
            self._mirror.take(steps)
