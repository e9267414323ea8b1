"""Whether a text says only what passages say: its content words, looked up in them.

Trade: words are compared, not meanings. A paraphrase seems less grounded than it is, and a text that puts the passages'
own words together wrongly seems grounded; so the figure refuses what is invented, and proves nothing right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penjing.knowledge.terms import folded

_ENGLISH_STOP = """
    a about after all also an and any are as at be because been before but by can could did do does for from had has
    have he her his how i if in into is it its may more most no not of on one or other our out over said she should so
    some such than that the their them then there these they this those through to up was we were what when where which
    while who whom whose why will with would yes you your
"""
_CHINESE_STOP = re.compile(r"[的了是在和与为有也就都而及或吗呢吧啊这那其并把被从到对由于]")
_STOP = frozenset(_ENGLISH_STOP.split())
_IN_NUMBERS = re.compile(r"(?<=\d)[.,](?=\d)")  # 1,442 is one number, and no other than itself
_ENDINGS = ("ing", "ed", "es", "ly", "s")
_SHORTEST = 3  # what an ending may leave of a word


@dataclass(frozen=True, slots=True)
class Grounding:
    """How much of a text stands in passages.

    Attributes:
        share: of its content words that stand in one of them; 0 for a text without any.
        missing: those that stand in none.
        shares: of each passage, the same alone.
        used: the fewest passages that hold all that is found, the one with the most first.
    """

    share: float
    missing: tuple[str, ...]
    shares: tuple[float, ...]
    used: tuple[int, ...]

    def holds(self, least: float) -> bool:
        """Whether the share is enough, and no number is made up."""
        return self.share >= least and not any(word[0].isdigit() for word in self.missing)


def grounding(text: str, passages: Sequence[str], *, question: str = "") -> Grounding:
    """Look a text's content words up in passages.

    Args:
        text: that was written.
        passages: that it was to be written from.
        question: its words assert nothing and are set aside, unless the text has no others.
    """
    spelt = content_words(text)
    words = spelt.keys() - content_words(question).keys() or spelt.keys()
    found = [words & content_words(passage).keys() for passage in passages]
    missing = words - set[str]().union(*found)
    return Grounding(
        1 - len(missing) / len(words) if words else 0.0,
        tuple(sorted(spelt[word] for word in missing)),
        tuple(len(one) / len(words) if words else 0.0 for one in found),
        tuple(_cover(found)),
    )


def content_words(text: str) -> dict[str, str]:
    """Words that say something, by what is left of them without their endings; of Chinese, pairs of characters."""
    terms = folded(_CHINESE_STOP.sub(" ", _IN_NUMBERS.sub("", text)))
    return {_bare(term): term for term in terms if term not in _STOP}


def _bare(word: str) -> str:
    """Without what English puts at the end."""
    if word.isascii() and word.isalpha():
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
                word = word.removesuffix(ending)
                break
    word = word.removesuffix("e") if len(word) > _SHORTEST else word
    return f"{word[:-1]}i" if word.endswith("y") else word


def _cover(found: Sequence[set[str]]) -> list[int]:
    """Passages one after another, each the one that adds most, until none adds."""
    used: list[int] = []
    left = set[str]().union(*found)
    while left:
        best = max(range(len(found)), key=lambda at: (len(found[at] & left), -at))
        used.append(best)
        left -= found[best]
    return used
