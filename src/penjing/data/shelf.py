"""Examples in memory while their texts are few, and on disk beyond that.

Promise: whoever reads them cannot tell which, but by memory and time. Price: some microseconds for each example that is
read from the disk. What stays in memory of such an example is where it lies, 8 bytes.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, final, overload

import numpy as np
import numpy.typing as npt

from penjing.core.spill import Spill
from penjing.data.examples import Kind

HELD_CHARACTERS = 1 << 26  # of a source


@final
class Shelf(Sequence[Kind], Generic[Kind]):
    """Examples of one kind, in the order in which they came.

    Args:
        held_characters: of their texts, before all go to the disk.
    """

    def __init__(self, held_characters: int | None = None) -> None:
        self._room = HELD_CHARACTERS if held_characters is None else held_characters
        self._held: list[Kind] = []
        self._kind: Any = None
        self._fields: tuple[str, ...] = ()
        self._spill: Spill | None = None
        self._ends = array("q", [0])

    def append(self, example: Kind) -> None:
        """Add an example behind all others.

        Raises:
            ResourceError: the disk refuses.
        """
        if self._spill is not None:
            self._put(example, self._spill)
            return
        self._held.append(example)
        self._room -= sum(map(len, example.texts))
        if self._room < 0:
            self._kind, self._spill = type(example), Spill()
            self._fields = self._kind.__slots__
            for one in self._held:
                self._put(one, self._spill)
            self._held = []

    def settled(self) -> Sequence[Kind]:
        """All of them, as a plain list where they are in memory."""
        return self._held if self._spill is None else self

    def __len__(self) -> int:
        return len(self._held) if self._spill is None else len(self._ends) - 1

    def __iter__(self) -> Iterator[Kind]:
        return self.at(range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Kind: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Kind]: ...
    def __getitem__(self, index: int | slice) -> Kind | Sequence[Kind]:
        places = range(len(self))[index]
        return next(self.at((places,))) if isinstance(places, int) else list(self.at(places))

    def at(self, places: Iterable[int]) -> Iterator[Kind]:
        """Those at some places, one at a time."""
        if self._spill is None:
            yield from (self._held[place] for place in places)
            return
        for place in places:
            yield self._taken(self._spill.read(self._ends[place], self._ends[place + 1]))

    def pick(self, indices: npt.NDArray[np.int64]) -> Picked[Kind]:
        """Some of them."""
        return Picked(self, indices)

    def _put(self, example: Kind, spill: Spill) -> None:
        if type(example) is not self._kind:
            raise TypeError(f"a {type(example).__name__} among examples that are each a {self._kind.__name__}")
        spill.add(marshal.dumps(tuple(getattr(example, field) for field in self._fields)))
        self._ends.append(len(spill))

    def _taken(self, content: bytes) -> Kind:
        fields = marshal.loads(content)  # noqa: S302  (written above, into a file that no other process can open)
        example: Kind = self._kind(*fields)
        return example


@final
class Picked(Sequence[Kind], Generic[Kind]):
    """Some examples of a shelf.

    Args:
        shelf: holds them.
        places: int64 (examples,), where on it.
    """

    def __init__(self, shelf: Shelf[Kind], places: npt.NDArray[np.int64]) -> None:
        self._shelf, self._places = shelf, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Kind]:
        return self._shelf.at(map(int, self._places))

    @overload
    def __getitem__(self, index: int) -> Kind: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Kind]: ...
    def __getitem__(self, index: int | slice) -> Kind | Sequence[Kind]:
        if isinstance(index, slice):
            return list(self._shelf.at(map(int, self._places[index])))
        return self._shelf[int(self._places[index])]

    def pick(self, indices: npt.NDArray[np.int64]) -> Picked[Kind]:
        """Some of these."""
        return Picked(self._shelf, self._places[indices])


def picked(examples: Sequence[Kind], indices: Iterable[int]) -> Sequence[Kind]:
    """The examples at some places: a list, or on the disk where they lie there."""
    if isinstance(examples, Shelf | Picked):
        return examples.pick(np.fromiter(indices, np.int64))
    return [examples[index] for index in indices]
