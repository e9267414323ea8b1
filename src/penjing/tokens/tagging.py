"""Entities as tags of words, and back.

A tag is ``O`` or a prefix and a label, such as ``B-PER``. Read are IOB1, BIO, BIOES and BILOU, all at
once: a prefix that cannot follow the one before begins a new entity, as in the CoNLL evaluation
script. Written are BIO and BIOES.

Source: seqeval 1.2, ``sequence_labeling.get_entities``, whose F1 is the field's usual one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

Scheme = Literal["bio", "bioes"]
Entity = tuple[int, int, str]  # first word, word after the last, label
OUTSIDE = "O"
_MEANS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
_PREFIXES: dict[Scheme, str] = {"bio": "BI", "bioes": "BIES"}


def parse_tag(tag: str) -> tuple[str, str]:
    """(B, I, E, S or O; label) of a tag.

    Raises:
        ValueError: it is of no scheme.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, label = tag.partition("-")
    if not dash or not label or prefix not in _MEANS:
        raise ValueError(f"{tag!r} is no tag of BIO, BIOES or BILOU")
    return _MEANS[prefix], label


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """The entities that tags spell, in order.

    Raises:
        ValueError: a tag is of no scheme.
    """
    found: list[Entity] = []
    begin, open_label, before = 0, "", OUTSIDE
    for at, tag in enumerate((*tags, OUTSIDE)):
        prefix, label = parse_tag(tag)
        goes_on = before in "BI" and prefix in "IE" and label == open_label
        if before != OUTSIDE and not goes_on:
            found.append((begin, at, open_label))
        if prefix != OUTSIDE and not goes_on:
            begin = at
        before, open_label = prefix, label
    return found


def tags_of(entities: Iterable[Entity], words: int, *, scheme: Scheme = "bio") -> list[str]:
    """A tag for each of ``words`` words; entities must not overlap."""
    tags = [OUTSIDE] * words
    for begin, end, label in entities:
        inner = [f"I-{label}"] * (end - begin)
        inner[0] = f"B-{label}"
        if scheme == "bioes":
            inner[-1] = f"E-{label}" if end - begin > 1 else f"S-{label}"
        tags[begin:end] = inner
    return tags


def tag_names(labels: Iterable[str], *, scheme: Scheme = "bio") -> tuple[str, ...]:
    """Every tag there can be, ``O`` first."""
    return (OUTSIDE, *(f"{prefix}-{label}" for label in sorted(labels) for prefix in _PREFIXES[scheme]))


def labels_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels behind tags, sorted."""
    return tuple(sorted({label for _, label in map(parse_tag, tags) if label}))
