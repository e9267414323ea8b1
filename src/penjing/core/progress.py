"""How long work tells its watcher how far it is. The terminal form lives in ``app``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One piece of long work in progress."""

    def advance(self, amount: float = 1, **facts: float) -> None:
        """Move on by ``amount``; ``facts`` (loss, tokens_per_s, …) are shown beside the bar."""


class Progress(Protocol):
    """Where stages and single lines of news are shown."""

    def stage(self, name: str, *, total: float) -> AbstractContextManager[Stage]:
        """Open a bar of ``total`` units."""

    def say(self, line: str) -> None:
        """Print one line of news."""


class _Silent:
    def advance(self, amount: float = 1, **facts: float) -> None:
        del amount, facts

    @contextmanager
    def stage(self, name: str, *, total: float) -> Iterator[Stage]:
        del name, total
        yield self

    def say(self, line: str) -> None:
        del line


SILENT: Progress = _Silent()
