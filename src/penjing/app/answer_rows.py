"""Answers as rows of plain data: what ``--json`` prints and files hold, and the types of their columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from penjing.app.generate import Generated
from penjing.core.extras import require
from penjing.tasks.answering import Answer
from penjing.tasks.fill_mask import Filled
from penjing.tasks.multi_label import LabelsPrediction
from penjing.tasks.question_answering import Answered
from penjing.tasks.regression import NumberPrediction
from penjing.tasks.text_classification import Prediction
from penjing.tasks.translation import Translated

Row = dict[str, Any]


def row_of(answer: Answer | Translated | Generated, labels: Sequence[str] = ()) -> Row:
    """An answer as JSON data.

    Args:
        answer: of any task.
        labels: of the model, where every label's probability (or what came next to the answer) is wanted.
    """
    if isinstance(answer, list):
        return {"entities": [asdict(one) | {"score": round(one.score, 6)} for one in answer]}
    if isinstance(answer, Filled):
        return {"masks": [[asdict(one) | {"score": round(one.score, 6)} for one in own] for own in answer.masks]}
    if isinstance(answer, Answered):
        told = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(answer).items()}
        return {name: value for name, value in told.items() if name != "others" or labels}
    if isinstance(answer, Generated):
        return {"generated_text": answer.text, "finish": answer.finish, "tokens": answer.tokens}
    if isinstance(answer, Translated):
        return {"translation": answer.text, "score": round(answer.score, 6), "complete": answer.complete}
    if isinstance(answer, NumberPrediction):
        return {"score": answer.score}
    if not isinstance(answer, Prediction | LabelsPrediction):
        return {"embedding": answer.tolist()}
    facts: Row = {"label": answer.label, "score": round(answer.score, 6)} if isinstance(answer, Prediction) else {
        "labels": list(answer.labels), "scores": [round(score, 6) for score in answer.scores],
    }  # fmt: skip
    if labels:
        facts["probabilities"] = dict(zip(labels, answer.probabilities.round(6).tolist(), strict=True))
    return facts


def flat(row: Row) -> Row:
    """A row for a format without nesting: lists and objects as JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
        for name, value in row.items()
    }


def arrow_row(row: Row) -> Row:
    """A row as Arrow takes it: a map as its pairs."""
    probabilities = row.get("probabilities")
    return row if probabilities is None else row | {"probabilities": list(probabilities.items())}


def arrow_schema(row: Row) -> Any:
    """Column types of rows such as this, for Parquet."""
    arrow = require("pyarrow", extra="data")
    text, whole, share = arrow.string(), arrow.int64(), arrow.float64()
    place = [("text", text), ("start", whole), ("end", whole), ("score", share)]
    candidate = [("token", whole), ("token_str", text), ("score", share), ("sequence", text)]
    types = {
        "label": text, "score": share, "labels": arrow.list_(text), "scores": arrow.list_(share),
        "probabilities": arrow.map_(text, share),
        "entities": arrow.list_(arrow.struct([("label", text), *place])),
        "answer": text, "start": whole, "end": whole, "no_answer": share, "others": arrow.list_(arrow.struct(place)),
        "generated_text": text, "finish": text, "tokens": whole,
        "translation": text, "complete": arrow.bool_(),
        "embedding": arrow.list_(arrow.float32()), "masks": arrow.list_(arrow.list_(arrow.struct(candidate))),
    }  # fmt: skip
    return arrow.schema([(name, types[name]) for name in row])
