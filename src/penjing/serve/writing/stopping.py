"""Stop strings in a text that is still being written.

Promise: nothing of a stop string is ever told, wherever its characters were split; what is told is never taken
back. Price: text that may be the beginning of a stop string waits until that is settled.
"""

from __future__ import annotations

from collections.abc import Sequence


class Stopper:
    """Watches one text.

    Args:
        stops: none empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit: str | None = None

    def take(self, piece: str) -> str:
        """What can be told once ``piece`` is there; after a hit, nothing more."""
        if self.hit is not None:
            return ""
        if not self._stops:
            return piece
        text = self._held + piece
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.hit = min(found)
            self._held = ""
            return text[:at]
        keep = max(_overlap(text, stop) for stop in self._stops)
        told, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return told

    def rest(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that ``stop`` begins with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
