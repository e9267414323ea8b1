"""SQuAD's JSON: articles, their paragraphs, and the questions on each; a row a question.

Source: Rajpurkar et al., SQuAD 1.1 and 2.0 (``is_impossible``); CMRC 2018 in the same form, whose
paragraphs carry an ``id`` and whose answers may have ``answer_start`` −1: not in the context.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penjing.core.errors import DataError
from penjing.data.examples import Row
from penjing.data.readers.decode import whole_text
from penjing.data.readers.options import ReadOptions

_FORM = '{"data": [{"paragraphs": [{"context": "…", "qas": [{"question": "…", "answers": […]}]}]}]}'


def read_squad(path: Path, options: ReadOptions) -> Iterator[Row]:
    """Rows ``{"id", "question", "context", "answers"}``; ``answers`` is None where the file has none to give.

    Raises:
        DataError: not JSON, or of another form.
    """
    try:
        document = json.loads(whole_text(path, options))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", expected=_FORM) from error
    yield from squad_rows(document, path)


def is_squad(document: Any) -> bool:
    """Whether a JSON value looks like SQuAD's: an object whose ``data`` is a list of objects with ``paragraphs``."""
    articles = document.get("data") if isinstance(document, dict) else None
    return isinstance(articles, list) and all(isinstance(one, dict) and "paragraphs" in one for one in articles)


def squad_rows(document: Any, path: Path) -> Iterator[Row]:
    """Rows of a document that was read already. See :func:`read_squad`."""
    for at, article in _each(document, "data", str(path)):
        for place, paragraph in _each(article, "paragraphs", f"{path}: data[{at}]"):
            where = f"data[{at}].paragraphs[{place}]"
            for number, question in _each(paragraph, "qas", f"{path}: {where}"):
                if not isinstance(question, dict):
                    raise _odd(f"{path}: {where}.qas[{number}]")
                named = question.get("id") or f"{where}.qas[{number}]"
                yield Row(
                    {
                        "id": question.get("id"),
                        "question": question.get("question"),
                        "context": paragraph.get("context"),
                        "answers": [] if question.get("is_impossible") is True else question.get("answers"),
                    },
                    f"{path}[{named}]",
                )


def _each(value: Any, key: str, where: str) -> Iterator[tuple[int, Any]]:
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        raise _odd(where)
    return iter(enumerate(value[key]))


def _odd(where: str) -> DataError:
    return DataError(f"{where} is not of SQuAD's form", expected=_FORM)
