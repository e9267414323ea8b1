"""The queue of one lane: first come, first served, counted in tokens.

Promises: what was admitted has its room until it is taken or released; a piece is taken once; a
released request leaves nothing behind, in the count or in memory. Refusal is immediate: the queue
never makes a caller wait for a permit.

Trade: strictly in order. A piece that does not fit the rest of a batch is not overtaken by a
smaller one, which leaves some of the batch empty and nobody starving.

Source: the discipline of text-embeddings-inference, ``core/src/queue.rs``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


@dataclass(eq=False, slots=True)
class Permit:
    """Room in the queue that one request holds.

    Attributes:
        tokens: what it still holds; falls as its pieces are taken.
        waiting: how many of its pieces wait.
    """

    tokens: int
    waiting: int = 0


class Waiting(Protocol):
    """What a queue holds."""

    @property
    def permit(self) -> Permit:
        """The room of its request."""

    @property
    def tokens(self) -> int:
        """Its size."""


P = TypeVar("P", bound=Waiting)


class TokenQueue(Generic[P]):
    """Pieces of requests between the event loop and the worker threads. Safe for any thread.

    Args:
        max_tokens: how much may be admitted and not yet taken.
    """

    def __init__(self, *, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._pieces: deque[P] = deque()
        self._held = 0
        self._waiting_tokens = 0
        self._idle = 0
        self._is_open = True
        self._changed = threading.Condition(threading.Lock())

    @property
    def tokens(self) -> int:
        """Tokens admitted and not yet taken."""
        return self._held

    def admit(self, tokens: int) -> Permit | None:
        """Room for a request, or None at once if there is none."""
        with self._changed:
            if self._held + tokens > self.max_tokens:
                return None
            self._held += tokens
            return Permit(tokens)

    def resize(self, permit: Permit, tokens: int) -> None:
        """Correct an estimate. What was admitted is never refused afterwards."""
        with self._changed:
            self._held += tokens - permit.tokens
            permit.tokens = tokens

    def put(self, pieces: Sequence[P]) -> bool:
        """Let the pieces of one request wait for an engine; False if the queue is closed."""
        with self._changed:
            if not self._is_open:
                return False
            for piece in pieces:
                piece.permit.waiting += 1
                self._waiting_tokens += piece.tokens
            self._pieces.extend(pieces)
            self._changed.notify(len(pieces))
            return True

    def take(self, budget: int) -> list[P]:
        """Wait until there is work, then take a batch of it.

        Args:
            budget: most tokens to take. A single larger piece is taken alone. Where other workers
                are idle too, the work is shared out between them.

        Returns:
            At least one piece; none when the queue is closed.
        """
        with self._changed:
            while not self._pieces:
                if not self._is_open:
                    return []
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            room = min(budget, -(-self._waiting_tokens // (1 + self._idle)))
            taken = [self._take_first()]
            room -= taken[0].tokens
            while self._pieces and self._pieces[0].tokens <= room:
                taken.append(self._take_first())
                room -= taken[-1].tokens
            return taken

    def release(self, permit: Permit) -> None:
        """Give back the room of a request that is answered or gone; forget what of it still waits."""
        with self._changed:
            self._held -= permit.tokens
            permit.tokens = 0
            if permit.waiting:
                self._waiting_tokens -= sum(piece.tokens for piece in self._pieces if piece.permit is permit)
                self._pieces = deque(piece for piece in self._pieces if piece.permit is not permit)
                permit.waiting = 0

    def close(self) -> None:
        """Accept nothing more and wake the workers; what waits is for its owners to release."""
        with self._changed:
            self._is_open = False
            self._pieces.clear()
            self._waiting_tokens = 0
            self._changed.notify_all()

    def _take_first(self) -> P:
        piece = self._pieces.popleft()
        piece.permit.waiting -= 1
        piece.permit.tokens -= piece.tokens
        self._held -= piece.tokens
        self._waiting_tokens -= piece.tokens
        return piece
