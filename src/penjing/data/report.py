"""What was found in the data: plain values for the evidence, and a short text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from penjing.core.nouns import Frozen
from penjing.data.examples import Example

REPLACEMENT = "\ufffd"
_IMBALANCE = 10


class Lengths(Frozen):
    """Percentiles of text lengths, in characters (both texts of a pair together)."""

    p5: int
    p50: int
    p95: int
    p99: int
    longest: int


class Leak(Frozen):
    """Texts that stand in two splits.

    Attributes:
        split: where they were dropped or may be dropped.
        also_in: where they stay.
        rows: rows of ``split`` concerned.
        first: origins of the first few.
        dropped: whether they were.
    """

    split: str
    also_in: str
    rows: int
    first: tuple[str, ...]
    dropped: bool


class SplitReport(Frozen):
    """One split as it came out.

    Attributes:
        rows: examples that are used.
        labels: label → how often it is given: rows for classification, entities for tagging.
        blank_dropped, unlabelled_dropped, misaligned_dropped, unseen_dropped: rows left out of the
            source, and why.
        mended: rows of the source with an answer that does not stand where it should.
        repeated: rows of the source that give a label twice; it counts once.
        repeats: rows whose text stands earlier in the split.
        conflicts: texts that stand under more than one label.
        first_conflicts: origins of a few of them.
        replaced: texts with U+FFFD in place of bytes that did not decode.
    """

    name: str
    source: str
    sha256: str
    rows: int
    labels: dict[str, int]
    characters: Lengths
    blank_dropped: int = 0
    unlabelled_dropped: int = 0
    misaligned_dropped: int = 0
    mended: int = 0
    repeated: int = 0
    unseen_dropped: int = 0
    repeats: int = 0
    conflicts: int = 0
    first_conflicts: tuple[str, ...] = ()
    replaced: int = 0

    def __str__(self) -> str:
        sizes = sorted(self.labels.values()) or [0]
        spread = f"{sizes[0]:,}" if sizes[0] == sizes[-1] else f"{sizes[0]:,}–{sizes[-1]:,}"
        labels = f" · {len(self.labels)} labels, each {spread} times" if self.labels else ""
        return (
            f"{self.name:<10} {self.rows:>8,} rows{labels}"
            f" · {self.characters.p50:,} characters (median; 95 % ≤ {self.characters.p95:,})"
        )

    def remarks(self) -> Iterator[str]:
        """What a person should know, a line each."""
        for count, what in (
            (self.blank_dropped, "left out for a blank text"),
            (self.unlabelled_dropped, "left out for want of a label"),
            (self.misaligned_dropped, "left out for an entity or an answer that is not where it should be"),
            (self.mended, "with an answer taken from the nearest place that holds it, or only compared with"),
            (self.repeated, "that give a label twice; it counts once"),
            (self.unseen_dropped, "left out for a label that train lacks"),
            (self.repeats, "with the text of an earlier row"),
            (self.replaced, "with undecodable bytes, shown as U+FFFD"),
        ):
            if count:
                yield f"{self.name}: {_rows(count)} {what}"
        if self.conflicts:
            yield f"{self.name}: texts under several labels: {self.conflicts:,}, such as {self.first_conflicts[0]}"
        sizes = sorted(self.labels.values())
        if sizes and sizes[-1] > _IMBALANCE * sizes[0]:
            rarest = min(self.labels, key=lambda label: (self.labels[label], label))
            yield f"{self.name}: labels are uneven; {rarest!r} is given {sizes[0]:,} times of {sum(sizes):,}"


class DataReport(Frozen):
    """All splits, what they share, and what was chosen by seed.

    ``str()`` gives a short text; ``model_dump(mode="json")`` gives plain data.
    """

    splits: tuple[SplitReport, ...]
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = Field(default=())

    def __str__(self) -> str:
        return "\n".join([*(str(split) for split in self.splits), *(f"  ! {line}" for line in self.remarks())])

    def remarks(self) -> Iterator[str]:
        """What a person should know, a line each."""
        yield from self.notes
        for leak in self.leaks:
            done = "left out" if leak.dropped else "KEPT: scores will flatter"
            yield f"{leak.split}: {_rows(leak.rows)} also in {leak.also_in} ({done}), such as {leak.first[0]}"
        for split in self.splits:
            yield from split.remarks()


def measure_lengths(examples: Sequence[Example]) -> Lengths:
    """Percentiles over at least one example."""
    sizes = np.fromiter((sum(map(len, example.texts)) for example in examples), np.int64)
    p5, p50, p95, p99 = (int(value) for value in np.percentile(sizes, (5, 50, 95, 99)).round())
    return Lengths(p5=p5, p50=p50, p95=p95, p99=p99, longest=int(sizes.max()))


def count_labels(examples: Sequence[Example], order: Sequence[str]) -> dict[str, int]:
    """Label → how often it is given, in ``order``, without labels that are not."""
    counts = Counter(label for example in examples for label in example.labels)
    return {label: counts[label] for label in order if counts[label]}


def count_replaced(examples: Sequence[Example]) -> int:
    """Examples with U+FFFD in a text."""
    return sum(any(REPLACEMENT in text for text in example.texts) for example in examples)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
