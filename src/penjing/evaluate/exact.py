"""Whether an answer in free text is the right one, to the letter or by its number.

Promise: what is compared is told in two lines: case, width and spacing do not count; ``1,000``, ``$1000`` and
``1000.0`` are one number. Nothing else is forgiven, punctuation and articles included, for here they may be the answer.
"""

from __future__ import annotations

import unicodedata
from decimal import Decimal, InvalidOperation

_AROUND_NUMBERS = str.maketrans("", "", ",$€£¥% ")


def is_same_answer(answer: str, right: str, *, after: str | None = None) -> bool:
    """Hold an answer against the right one.

    Args:
        answer: what was written.
        right: what should have been.
        after: in each only what stands behind its last occurrence is compared, as ``####`` of GSM8K; an answer without
            it is wrong, a right one without it counts whole.
    """
    if after is not None:
        _, found, answer = answer.rpartition(after)
        right = right.rpartition(after)[2]
        if not found:
            return False
    given, wanted = _plain(answer), _plain(right)
    numbers = _number(given), _number(wanted)
    return given == wanted or (None not in numbers and numbers[0] == numbers[1])


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.removesuffix(".").translate(_AROUND_NUMBERS))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
