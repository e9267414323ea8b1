"""TEI's request bodies.

``inputs`` of ``/predict`` is a text, a pair ``["a", "b"]``, or a batch ``[["a"], ["a", "b"]]``: a flat list
of two strings is one pair, not two texts. Fields that TEI does not know are ignored.

Source: huggingface/text-embeddings-inference, ``router/src/http/types.rs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core.errors import EmptyError, FieldError
from penjing.serve.api.documents import checked_text, field, optional, shown
from penjing.tokens.encode import Text

_INPUTS = "inputs"
_NOTHING = "`inputs` cannot be empty"


@dataclass(frozen=True, slots=True)
class PredictBody:
    """What ``/predict`` is asked.

    Attributes:
        texts: texts and pairs.
        is_batch: whether they came as a batch, and are answered as one.
        truncate: whether to cut what is too long; None leaves it to the server.
        raw_scores: logits instead of probabilities.
    """

    texts: Sequence[Text]
    is_batch: bool
    truncate: bool | None
    raw_scores: bool


@dataclass(frozen=True, slots=True)
class TokenizeBody:
    """What ``/tokenize`` is asked.

    Attributes:
        texts: at least one.
        special: with special tokens.
    """

    texts: Sequence[str]
    special: bool


def read_predict(document: Mapping[str, Any]) -> PredictBody:
    """The body of ``/predict``.

    Raises:
        FieldError: it is not of the form.
        EmptyError: a text is empty.
    """
    texts, is_batch = _sequences(document)
    return PredictBody(texts, is_batch, read_truncate(document), optional(document, "raw_scores", bool) or False)


def read_truncate(document: Mapping[str, Any]) -> bool | None:
    """Whether to cut what is too long; None leaves it to the server.

    Raises:
        FieldError: it is neither, or to be cut on the left.
    """
    truncate = optional(document, "truncate", bool)
    direction = optional(document, "truncation_direction", str) or "Right"
    if direction.lower() not in ("left", "right"):
        raise FieldError(
            f"truncation_direction is {shown(direction)}", field="truncation_direction", expected="Left or Right"
        )
    if direction.lower() == "left" and truncate is not False:
        raise FieldError(
            "truncation_direction Left is not supported", field="truncation_direction", expected="Right",
            do="Cut the text yourself, or set truncate to false.",
        )  # fmt: skip
    return truncate


def read_tokenize(document: Mapping[str, Any]) -> TokenizeBody:
    """The body of ``/tokenize``.

    Raises:
        FieldError: it is not of the form.
        EmptyError: there is no text, or an empty one.
    """
    refuse_prompt(document)
    sent = present(document)
    texts = sent if isinstance(sent, list) else [sent]
    if not texts:
        raise EmptyError(_NOTHING)
    read = [_text(one, where=f"{_INPUTS}[{index}]") for index, one in enumerate(texts)]
    if not all(read):
        raise EmptyError(_NOTHING)
    special = optional(document, "add_special_tokens", bool)
    return TokenizeBody(read, special is not False)


def refuse_prompt(document: Mapping[str, Any]) -> None:
    """Raise FieldError if a prompt is named: models here have none."""
    if document.get("prompt_name") is not None:
        raise FieldError("prompt_name names a prompt, and the model has none", field="prompt_name")


def present(document: Mapping[str, Any]) -> Any:
    """The inputs, which must be there, in whatever form."""
    if _INPUTS not in document:
        field(document, _INPUTS, str)  # says that it is absent
    return document[_INPUTS]


def _sequences(document: Mapping[str, Any]) -> tuple[list[Text], bool]:
    sent = present(document)
    if isinstance(sent, str):
        return [_sequence([sent], where=_INPUTS)], False
    if not isinstance(sent, list) or not sent:
        raise _form_error(sent, where=_INPUTS)
    if isinstance(sent[0], str):
        return [_sequence(sent, where=_INPUTS)], False
    return [_sequence(one, where=f"{_INPUTS}[{index}]") for index, one in enumerate(sent)], True


def _sequence(sent: Any, *, where: str) -> Text:
    """One text or pair."""
    if not isinstance(sent, list) or not 1 <= len(sent) <= 2:
        raise _form_error(sent, where=where)
    parts = [_text(one, where=where) for one in sent]
    if not any(parts):
        raise EmptyError(_NOTHING)
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _text(sent: Any, *, where: str) -> str:
    if not isinstance(sent, str):
        raise FieldError(f"{where} holds {shown(sent)}", field=where, expected="strings")
    return checked_text(sent, where=where)


def _form_error(sent: Any, *, where: str) -> FieldError:
    return FieldError(
        f"{where} is {shown(sent)}",
        field=where,
        expected="a string, a pair of strings [string, string] or a batch [[string], [string, string], ...]",
    )
