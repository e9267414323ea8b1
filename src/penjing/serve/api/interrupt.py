"""Ending an ``await`` from outside with an error of one's own."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Interruptible:
    """A block of the current task that a callback of the same event loop may end.

    Promise: the cancellation that ends the block is consumed; one that came from elsewhere is not.
    """

    __slots__ = ("_error", "_task")

    def __enter__(self) -> Self:
        """Begin the block."""
        self._task = asyncio.current_task()
        self._error: Exception | None = None
        return self

    def end(self, error: Exception) -> None:
        """End the block with ``error``."""
        if self._error is None and self._task is not None:
            self._error = error
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the error in the place of the cancellation."""
        if kind is asyncio.CancelledError and self._error and self._task and not self._task.uncancel():
            raise self._error from None
