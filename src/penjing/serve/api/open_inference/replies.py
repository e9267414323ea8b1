"""Answers as output tensors: which, in which form, in which order.

Whatever came in, any of the four outputs may be wanted. Where none is named, token ids give ``logits``,
as a model exported for Triton would, and texts give all four.

Source: Open Inference Protocol, "Inference Response JSON Object"; Triton's ``FinalizeResponse`` in
``src/http_server.cc`` and ``src/classification.cc``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from penjing.core.errors import FieldError
from penjing.serve.answers import Answers, Floats
from penjing.serve.api.http import Reply
from penjing.serve.api.open_inference.requests import LENGTH_HEADER, InferRequest, WantedOutput
from penjing.serve.api.open_inference.tensors import BYTES, pack_bytes
from penjing.serve.decoding import Predictions, classify

LABEL, SCORE, PROBABILITIES, LOGITS = "label", "score", "probabilities", "logits"
OUTPUTS = (LABEL, SCORE, PROBABILITIES, LOGITS)
_FP32 = "FP32"
_BINARY_TYPE = b"application/octet-stream"


class Output(NamedTuple):
    """One output tensor, row-major."""

    datatype: str
    shape: tuple[int, ...]
    values: Sequence[str] | Floats

    def data(self) -> list[Any]:
        """The values for JSON."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def content(self) -> bytes:
        """The values as bytes."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype("<f4").tobytes()
        return pack_bytes(self.values)


def infer_reply(answers: Answers, asked: InferRequest) -> Reply:
    """The reply to an inference request."""
    usual = OUTPUTS if asked.is_text else (LOGITS,)
    wanted = asked.outputs or tuple(WantedOutput(name) for name in usual)
    needs_classes = any(one.name != LOGITS or one.classes for one in wanted)
    predicted = classify(answers.outputs, answers.labels) if needs_classes else None
    described, contents = [], []
    for one in wanted:
        output = _output(one, answers, predicted)
        told: dict[str, Any] = {"name": one.name, "datatype": output.datatype, "shape": list(output.shape)}
        if asked.is_binary if one.is_binary is None else one.is_binary:
            contents.append(output.content())
            told["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            told["data"] = output.data()
        described.append(told)
    document = {
        **({"id": asked.id} if asked.id else {}),
        "model_name": answers.model,
        "model_version": str(answers.version),
        "outputs": described,
    }
    head = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    headers = answers.cost.headers()
    if not any(contents):
        return Reply(200, head, headers=headers)
    return Reply(200, b"".join((head, *contents)), _BINARY_TYPE, [(LENGTH_HEADER, b"%d" % len(head)), *headers])


def check_wanted(asked: InferRequest, *, model: str) -> None:
    """Before anything is computed for it.

    Raises:
        FieldError: an output is wanted that there is not, or twice, or as classes that it has not.
    """
    names = [one.name for one in asked.outputs]
    for one in asked.outputs:
        if one.name not in OUTPUTS:
            raise FieldError(
                f"unexpected inference output '{one.name[:80]}' for model '{model}'",
                field="outputs",
                expected=f"one of {', '.join(OUTPUTS)}",
            )
        if names.count(one.name) > 1:
            raise FieldError(f"output '{one.name}' is wanted twice", field="outputs")
        if one.classes and one.name == LABEL:
            raise FieldError(
                f"class result not available for output due to unsupported type '{BYTES}'",
                field="outputs",
                expected="classification of logits, probabilities or score",
            )


def _output(wanted: WantedOutput, answers: Answers, predicted: Predictions | None) -> Output:
    if predicted is None:
        return Output(_FP32, answers.outputs.shape, answers.outputs)
    if wanted.name == LABEL:
        return Output(BYTES, (len(predicted.labels),), predicted.labels)
    values = {SCORE: predicted.scores, PROBABILITIES: predicted.probabilities, LOGITS: answers.outputs}[wanted.name]
    if not wanted.classes:
        return Output(_FP32, values.shape, values)
    if wanted.name == SCORE:
        return _classification(values[:, None], (), most=wanted.classes)
    return _classification(values, predicted.classes, most=wanted.classes)


def _classification(rows: Floats, names: Sequence[str], *, most: int) -> Output:
    """The highest values of each row as ``value:index[:label]``, the highest first."""
    count = min(most, rows.shape[1])
    order = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    told = [
        f"{row[index]:f}:{index}" + (f":{names[index]}" if names else "")
        for row, best in zip(rows.tolist(), order.tolist(), strict=True)
        for index in best
    ]
    return Output(BYTES, (len(rows), count), told)
