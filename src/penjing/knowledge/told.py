"""An answer as plain data: what ``--json`` prints and HTTP sends."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from penjing.knowledge.asking import Citation, KnowledgeAnswer
from penjing.knowledge.keeping import Passage
from penjing.knowledge.search import Found
from penjing.knowledge.written import Generated, Source

_DIGITS = 4


def as_dict(answer: KnowledgeAnswer, *, passages: int = 0) -> dict[str, Any]:
    """An answer.

    Args:
        answer: to tell.
        passages: how many of the passages found to tell too.
    """
    told = {
        "question": answer.question,
        "answer": answer.best.answer if answer.best else None,
        "confidence": round(answer.confidence, _DIGITS),
        "is_calibrated": answer.is_calibrated,
        "cited": _cited(answer.best) if answer.best else None,
        "others": [_cited(one) for one in answer.others],
        "generated": _generated(answer.generated) if answer.generated else None,
    }
    return told | ({"passages": [found_as_dict(one) for one in answer.passages[:passages]]} if passages else {})


def found_as_dict(found: Found) -> dict[str, Any]:
    """A passage that was found."""
    return _place(found.passage) | {
        "text": found.passage.text,
        "rank": found.rank,
        "bm25": round(found.bm25, _DIGITS),
        "cosine": round(found.cosine, _DIGITS),
    }


def _place(passage: Passage) -> dict[str, Any]:
    return {
        "document": passage.document,
        "title": passage.title,
        "source": passage.source,
        "begin": passage.begin,
        "end": passage.end,
        "page": passage.page,
    }


def _generated(made: Generated) -> dict[str, Any]:
    return {
        "answer": made.answer,
        "text": made.text,
        "is_grounded": made.is_grounded,
        "holds_answer": made.holds_answer,
        "grounding": round(made.grounding, _DIGITS),
        "missing": list(made.missing),
        "cited": [_source(one) for one in made.sources],
        "left_out": made.left_out,
        "finish": made.finish,
        "model": made.model,
    }


def _source(source: Source) -> dict[str, Any]:
    return _place(source.passage) | {
        "passage": source.passage.text,
        "share": round(source.share, _DIGITS),
    }


def _cited(cited: Citation) -> dict[str, Any]:
    return asdict(cited) | {"confidence": round(cited.confidence, _DIGITS)}
