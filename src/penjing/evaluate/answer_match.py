"""How well an answer in words agrees with the right ones: exact match and F1, as the data sets define them.

Questions in a language that sets spaces are judged as SQuAD's official script does (version 2.0, which is
1.1's but for answers that are nothing once normalised); those in Chinese or Japanese as CMRC 2018's does.
The script of the question decides, so that an answer such as ``1998`` is judged as the others of its set.

Sources: ``evaluate-v2.0.py`` of SQuAD; ``cmrc2018_evaluate.py`` of CMRC 2018. One thing differs from the
latter: it tokenises what is not Chinese by NLTK, this by a rule (kana one by one; words with the points and
apostrophes in them; each other sign), which parts ``don't`` otherwise.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters
_CHARACTERS = re.compile(f"[{_CHARACTER}]")
_LETTERS = re.compile(r"[^\W\d_]")
# CMRC's list; its "……" is two characters there and so never met
_CMRC_SIGNS = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_TOKENS = re.compile(rf"[{_CHARACTER}]|(?:(?![{_CHARACTER}])\w)+(?:[.,'](?:(?![{_CHARACTER}])\w)+)*|[^\w\s]")


class Match(NamedTuple):
    """How well an answer agrees.

    Attributes:
        exact: whether it is one of the right ones.
        f1: share of its words (or characters) and theirs that are the same, 0..1.
    """

    exact: bool
    f1: float


def match(answer: str, right: Sequence[str], *, question: str) -> Match:
    """Hold an answer against the right ones; the best counts.

    Args:
        answer: empty says that there is none.
        right: empty if there is none.
        question: its script decides by which rules.
    """
    if not right:
        is_none = not normalised(answer)
        return Match(is_none, float(is_none))
    return _cmrc(answer, right) if is_unspaced(question) else _squad(answer, right)


def is_unspaced(text: str) -> bool:
    """Whether most letters of a text are Chinese characters or kana."""
    return 2 * len(_CHARACTERS.findall(text)) > len(_LETTERS.findall(text))


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and extra blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _squad(answer: str, right: Sequence[str]) -> Match:
    given, kept = normalised(answer), [one for one in map(normalised, right) if one] or [""]
    return Match(given in kept, max(_word_f1(given.split(), one.split()) for one in kept))


def _word_f1(given: Sequence[str], right: Sequence[str]) -> float:
    if not given or not right:
        return float(given == right)
    same = (Counter(given) & Counter(right)).total()
    return 2 * same / (len(given) + len(right))


def _cmrc(answer: str, right: Sequence[str]) -> Match:
    given, kept = _without_signs(answer), [_without_signs(one) for one in right]
    tokens = _CMRC_TOKENS.findall(given)
    return Match(given in kept, max(_run_f1(tokens, _CMRC_TOKENS.findall(one)) for one in kept))


def _without_signs(text: str) -> str:
    return text.lower().strip().translate(_CMRC_SIGNS)


def _run_f1(given: list[str], right: list[str]) -> float:
    """F1 of the longest run of tokens that both have; Chinese characters are tokens."""
    longest = SequenceMatcher(None, given, right, autojunk=False).find_longest_match().size
    return 2 * longest / (len(given) + len(right)) if longest else 0.0
