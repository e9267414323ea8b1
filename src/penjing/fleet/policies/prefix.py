"""The policy that remembers who has read the beginning of a prompt before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from penjing.fleet.policies.base import Load, Work
from penjing.fleet.policies.work import Turns, finishing

BLOCK_BYTES = 128  # of a prompt: some 32 tokens
_MOST_BLOCKS = 256


class PrefixAware:
    """Where the request would be done first, the part of its prompt that a replica has read before left out.

    So a shared beginning draws requests to one place as long as that is worth the wait there, and no longer: no
    threshold of imbalance has to be set. What each replica has read is assumed, not asked: the blocks sent there, the
    latest ones of a bounded number. Without a prompt it is :class:`LeastWork`.

    Args:
        remembered: blocks for each replica; about what its cache holds.

    Source: Srivatsa et al., "Preble: efficient distributed prompt scheduling for LLM serving", ICLR 2025 (exploit or
    explore by load cost); Zheng et al., "SGLang", NeurIPS 2024 (cache-aware routing).
    """

    def __init__(self, *, remembered: int = 16_384) -> None:
        self._remembered = remembered
        self._read: dict[str, OrderedDict[int, None]] = {}
        self._turns = Turns()

    def choose(self, work: Work, among: Sequence[Load]) -> Load:
        """See :class:`penjing.fleet.policies.base.Policy`."""
        finish = finishing(among)

        def when(load: Load) -> float:
            return finish(load, work.tokens * (1 - self.known(load.name, work.prefix)))

        chosen = self._turns.least(among, when)
        self.note(chosen.name, work.prefix)
        return chosen

    def known(self, name: str, prefix: tuple[int, ...]) -> float:
        """The share of a prompt that a replica has read, 0..1."""
        read, blocks = self._read.get(name), 0
        if not read or not prefix:
            return 0.0
        while blocks < len(prefix) and prefix[blocks] in read:
            blocks += 1
        return blocks / len(prefix)

    def note(self, name: str, prefix: tuple[int, ...]) -> None:
        """A replica reads a prompt."""
        read = self._read.setdefault(name, OrderedDict())
        for block in reversed(prefix):  # so that of a prompt the end is forgotten first
            read[block] = None
            read.move_to_end(block)
        while len(read) > self._remembered:
            read.popitem(last=False)


def blocks_of(prompt: bytes) -> tuple[int, ...]:
    """A prompt's beginnings, each a block longer than the one before, as digests.

    What does not fill a block is left out. Equal beginnings have equal digests, and blocks are chained, as vLLM's and
    SGLang's caches chain theirs.
    """
    digest, blocks = blake2b(digest_size=8), []
    for begin in range(0, min(len(prompt) // BLOCK_BYTES, _MOST_BLOCKS) * BLOCK_BYTES, BLOCK_BYTES):
        digest.update(prompt[begin : begin + BLOCK_BYTES])
        blocks.append(int.from_bytes(digest.digest(), "big"))
    return tuple(blocks)
