"""Words of a text in any script: what entities begin and end at.

A word is a run of letters, digits and their marks; each Chinese character and each kana is a word
of its own, for these scripts set no spaces; so is each sign. White space belongs to no word.

Promise: words are ascending, apart, and hold every character that is no white space.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache

_ALONE = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Chinese characters
    "\U00020000-\U0003ffff"  # those beyond the basic plane
)


def stands_alone(character: str) -> bool:
    """Whether a character is a word by itself whatever stands beside it: Chinese characters and kana."""
    return re.match(f"[{_ALONE}]", character) is not None


def words_of(text: str) -> tuple[tuple[int, int], ...]:
    """(begin, end) of each word, in characters."""
    return tuple(match.span() for match in _pattern().finditer(text))


@cache
def _pattern() -> re.Pattern[str]:
    marks = _ranges(code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M"))
    letter = rf"(?![{_ALONE}])\w"
    return re.compile(rf"[{_ALONE}][{marks}]*|(?:{letter}[{marks}\u200c\u200d]*)+|\S[{marks}\u200d]*")


def _ranges(codes: Iterable[int]) -> str:
    """A character class of ascending code points."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in runs)
