"""Words as the full-text index knows them.

Chinese characters and kana set no spaces, so each two neighbours are a term (*bigrams*); all other words stand as
they are, and SQLite's ``porter unicode61`` folds and stems them. So one index serves both, and no text has to be
told its language first. Measured against SQLite's trigrams in docs/decisions/0014.
"""

from __future__ import annotations

import re
import unicodedata

from penjing.tokens.words import stands_alone

_WORD = re.compile(r"\w+")
MOST_CHARACTERS = 200  # of a folded term
_MOST_TERMS = 64  # of a question; what comes later adds time and no passage


def indexed(text: str) -> str:
    """A text as the index is given it: terms apart by blanks."""
    return " ".join(term for word in _words(text) for term in _terms(word))


def match_terms(question: str) -> list[str]:
    """The question's terms as FTS5 is asked for them; `` OR `` between them finds passages with any."""
    terms = dict.fromkeys(term for word in _words(question) for term in _asked(word))
    return list(terms)[:_MOST_TERMS]


def folded(text: str) -> list[str]:
    """A text's terms for an index that does not fold by itself: small letters, no accents, of bounded length."""
    return [_fold(term)[:MOST_CHARACTERS] for word in _words(text) for term in _terms(word)]


def asked_of(question: str) -> dict[str, bool]:
    """A question's terms, folded, and whether each stands for all terms that begin with it."""
    found = {}
    for word in _words(question):
        is_single = len(word) == 1 and stands_alone(word)
        found.update({_fold(term)[:MOST_CHARACTERS]: is_single for term in _terms(word)})
    return dict(list(found.items())[:_MOST_TERMS])


def overlap(one: str, other: str) -> float:
    """How much two questions share: twice the common terms over all, 0..1."""
    first, second = (set(indexed(text).casefold().split()) for text in (one, other))
    return 2 * len(first & second) / max(1, len(first) + len(second))


def _words(text: str) -> list[str]:
    """Runs of word characters, those that stand alone apart from those that do not."""
    words: list[str] = []
    for found in _WORD.findall(unicodedata.normalize("NFKC", text)):
        begin = 0
        for at in range(1, len(found) + 1):
            if at == len(found) or stands_alone(found[at]) != stands_alone(found[begin]):
                words.append(found[begin:at])
                begin = at
    return words


def _terms(word: str) -> list[str]:
    if len(word) > 1 and stands_alone(word[0]):
        return [word[at : at + 2] for at in range(len(word) - 1)]
    return [word]


def _asked(word: str) -> list[str]:
    """Quoted, so that nothing in a question is a command; one character alone finds every term that it begins."""
    single = len(word) == 1 and stands_alone(word)
    return [f'"{term}"{"*" if single else ""}' for term in _terms(word)]


def _fold(term: str) -> str:
    if term.isascii() or stands_alone(term[0]):
        return term.casefold()
    letters = unicodedata.normalize("NFKD", term.casefold())
    return "".join(one for one in letters if not unicodedata.combining(one)) or term
