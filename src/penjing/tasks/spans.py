"""Spans of a windowed text: from characters to tokens, and the best ones by the scores of their ends.

Promise: the best span is the best of all, whatever the number of windows. Memory and time grow with the
tokens, not with their number times the longest span.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penjing.tokens.windows import Window

Floats = npt.NDArray[np.float64]
Logits = Sequence[npt.NDArray[np.float32]]
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]
_IS_BLANK = np.array([chr(code).isspace() for code in range(0x3002)])  # none beyond the ideographic space


class TokenSpan(NamedTuple):
    """Where characters stand in a window.

    Attributes:
        first, last: tokens of the window.
        is_whole: whether the window holds all of them.
    """

    first: int
    last: int
    is_whole: bool


class Spans(NamedTuple):
    """Spans of a text, best first.

    Attributes:
        begins, ends: int64 (n,), characters, the end not included, without blanks around.
        scores: float64 (n,).
    """

    begins: Ints
    ends: Ints
    scores: Floats


class _Tokens(NamedTuple):
    """The tokens of all windows one after another, each window followed by room that no span may enter."""

    begins: Ints
    ends: Ints
    kept: Marks
    start: Floats
    end: Floats


def token_span(window: Window, characters: tuple[int, int], *, is_first: bool, is_last: bool) -> TokenSpan | None:
    """The tokens of a window that hold ``characters`` (begin, end), or None if none does.

    Args:
        window: of one text.
        characters: of that text; not blank, no blanks around.
        is_first: whether the window has the text's beginning.
        is_last: whether it has the text's end.
    """
    begin, end = characters
    inside = np.flatnonzero((window.begins >= 0) & (window.ends > window.begins))
    met = inside[(window.ends[inside] > begin) & (window.begins[inside] < end)]
    if not len(met):
        return None
    has_begin = is_first or bool(window.begins[inside[0]] <= begin)
    has_end = is_last or bool(window.ends[inside[-1]] >= end)
    return TokenSpan(int(met[0]), int(met[-1]), has_begin and has_end)


def best_spans(text: str, windows: Sequence[Window], outputs: Logits, *, reach: int, most: int) -> Spans:
    """The ``most`` distinct spans with the highest sum of start and end.

    Args:
        text: the second text of the windows.
        windows: of it; each span lies in one and has its first or last token among the kept.
        outputs: float32 (tokens, 2), a window each: start and end.
        reach: tokens of the longest span.
        most: how many.
    """
    solid = _solid_before(text)
    tokens = _laid(windows, outputs, solid, reach=reach)
    any_end, kept_end = tokens.end, np.where(tokens.kept, tokens.end, -np.inf)
    ahead = np.where(tokens.kept, _best_ahead(any_end, reach), _best_ahead(kept_end, reach))
    firsts = _highest(tokens.start + ahead, 2 * most)  # a span among the best begins at one of these
    cells = firsts[:, None] + np.arange(reach)
    ends = np.where(tokens.kept[firsts, None], any_end[cells], kept_end[cells])
    scores = (tokens.start[firsts, None] + ends).ravel()
    best = _highest(scores, 2 * most)  # a span in the overlap of two windows comes twice
    lasts = cells.ravel()[best]
    return _distinct(solid, tokens.begins[firsts[best // reach]], tokens.ends[lasts], scores=scores[best], most=most)


def _laid(windows: Sequence[Window], outputs: Logits, solid: Ints, *, reach: int) -> _Tokens:
    """Tokens that are blank or outside the text get −∞."""
    size = sum(map(len, windows)) + reach * len(windows)
    begins, ends, kept = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, bool)
    logits = np.full((2, size), -np.inf)
    at = 0
    for window, own in zip(windows, outputs, strict=True):
        cells = slice(at, at + len(window))
        inside = (window.begins >= 0) & (window.ends > window.begins)
        inside[inside] = solid[window.ends[inside]] > solid[window.begins[inside]]
        begins[cells], ends[cells], kept[cells] = window.begins, window.ends, window.kept & inside
        logits[:, cells] = np.where(inside, own.T, -np.inf)
        at += len(window) + reach
    return _Tokens(begins, ends, kept, logits[0], logits[1])


def _solid_before(text: str) -> Ints:
    """How many characters before each place are no white space, int64 (characters + 1,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.append(0, np.cumsum(~_IS_BLANK[np.minimum(codes, len(_IS_BLANK) - 1)]))


def _best_ahead(values: Floats, reach: int) -> Floats:
    """The highest of each value and the ``reach − 1`` that follow it."""
    best, span = values, 1
    while span < reach:
        step = min(span, reach - span)
        later = np.full_like(best, -np.inf)
        later[:-step] = best[step:]
        best, span = np.maximum(best, later), span + step
    return best


def _highest(values: Floats, most: int) -> Ints:
    """Where the highest values above −∞ stand, in descending order; of equal ones the first."""
    few = len(values) <= most
    chosen = np.arange(len(values)) if few else np.sort(np.argpartition(-values, most - 1)[:most])
    chosen = chosen[values[chosen] > -np.inf]
    return chosen[np.argsort(-values[chosen], kind="stable")]


def _distinct(solid: Ints, begins: Ints, ends: Ints, *, scores: Floats, most: int) -> Spans:
    """Without blanks around, and each span once."""
    begins = np.searchsorted(solid, solid[begins], side="right") - 1
    ends = np.searchsorted(solid, solid[ends], side="left")
    _, first = np.unique(begins * (len(solid) + 1) + ends, return_index=True)
    kept = np.sort(first)[:most]
    return Spans(begins[kept], ends[kept], scores[kept])
