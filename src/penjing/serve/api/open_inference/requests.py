"""The body of an inference request: its JSON, the bytes behind it, and what they ask for.

Source: Open Inference Protocol, "Inference Request JSON Object"; Triton's extensions for binary tensor
data, classification, schedule policy (``timeout``) and parameters.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core.errors import FieldError, InvalidRequestError, MalformedError, UnsupportedError
from penjing.core.nouns import Task
from penjing.serve.answers import Inputs
from penjing.serve.api.documents import field, optional, parse_object, shown
from penjing.serve.api.open_inference.tensors import BYTES, INTEGERS, Array, Tail, read_tensor
from penjing.serve.api.sequences import CONTEXT, QUESTION, Layout, Shape, to_inputs
from penjing.serve.versions import Servable

LENGTH_HEADER = b"inference-header-content-length"
IDS = ("input_ids", "attention_mask", "token_type_ids")
TEXTS, QUESTIONS = ("text", "text_pair"), (QUESTION, CONTEXT)
_WANTED = {TEXTS: "text (and text_pair)", QUESTIONS: "question and context"}
Datatypes = Mapping[str, tuple[str, ...]]  # of each input, those that it may have
_RESERVED = "triton_"
_SHARED = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that a request names.

    Attributes:
        is_binary: None leaves it to the request.
        classes: how many of the highest values to tell as ``value:index:label``; 0 gives the tensor itself.
    """

    name: str
    is_binary: bool | None = None
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a request asks.

    Attributes:
        inputs: texts, pairs or encodings.
        is_text: whether they came as text rather than as token ids.
        layout: how they came, for outputs of every token.
        id: given back with the answer; empty if none came.
        outputs: wanted ones; empty asks for the usual ones.
        is_binary: whether outputs are to be binary unless they say otherwise.
        timeout_s: the longest it may take; None leaves it to the server.
    """

    inputs: Inputs
    is_text: bool
    layout: Layout
    id: str
    outputs: tuple[WantedOutput, ...]
    is_binary: bool
    timeout_s: float | None


def datatypes_of(servable: Servable) -> Datatypes:
    """The inputs of a model, with the types they may have."""
    if servable.manifest.task in (Task.FILL_MASK, Task.TRANSLATION):
        return {"text": (BYTES,)}
    texts = QUESTIONS if servable.manifest.task is Task.QUESTION_ANSWERING else TEXTS
    return {**dict.fromkeys(texts, (BYTES,)), **dict.fromkeys(IDS, tuple(INTEGERS))}


def read_request(body: bytes, header_length: str, *, model: str, datatypes: Datatypes) -> InferRequest:
    """Read a body.

    Args:
        body: JSON, perhaps with tensors behind it.
        header_length: the header that tells the length of the JSON; empty if none came.
        model: for messages.
        datatypes: from :func:`datatypes_of`.

    Raises:
        InvalidRequestError: anything about it is wrong.
        UnsupportedError: it wants something of Triton's that Penjing has not.
    """
    content = memoryview(body)
    length = _json_length(header_length, len(content))
    document, tail = parse_object(content[:length]), Tail(content[length:])
    inputs, is_text, layout = _read_inputs(field(document, "inputs", list), tail, model=model, datatypes=datatypes)
    if tail.left:
        raise MalformedError(f"unexpected additional input data for model '{model}'")
    parameters = optional(document, "parameters", dict) or {}
    _check_parameters(parameters)
    timeout_us = optional(parameters, "timeout", int, where="parameters")
    return InferRequest(
        inputs,
        is_text=is_text,
        layout=layout,
        id=optional(document, "id", str) or "",
        outputs=tuple(_read_output(one) for one in optional(document, "outputs", list) or ()),
        is_binary=optional(parameters, "binary_data_output", bool, where="parameters") or False,
        timeout_s=timeout_us / 1e6 if timeout_us and timeout_us > 0 else None,
    )


def _json_length(header: str, whole: int) -> int:
    if not header:
        return whole
    length = int(header) if header.isascii() and header.isdigit() and len(header) < len(str(2**63)) else -1
    if not 0 <= length <= whole:
        raise MalformedError(f"inference header size should be in range (0, {whole}), got: {header[:40]}")
    if not length:
        raise InvalidRequestError(
            "a raw request, all of whose body is one tensor, names no input", do="Send the JSON before the bytes."
        )
    return length


def _read_inputs(sent: list[Any], tail: Tail, *, model: str, datatypes: Datatypes) -> tuple[Inputs, bool, Layout]:
    """The sequences, whether they came as text, and their layout."""
    tensors: dict[str, Array] = {}
    shapes: dict[str, Shape] = {}
    for index, one in enumerate(sent):
        name = own_name(_name(one, where=f"inputs[{index}]"), tensors, datatypes=datatypes, model=model)
        tensors[name] = read_tensor(one, tail, datatypes=datatypes[name], model=model)
        shapes[name] = tuple(one["shape"])
    return gather(tensors, shapes, datatypes=datatypes, model=model)


def own_name(name: str, seen: Container[str], *, datatypes: Datatypes, model: str) -> str:
    """The model's own name for an input; one for questions also takes them as ``text`` and ``text_pair``.

    Raises:
        FieldError: there is no such input, or it has come already.
    """
    if QUESTION in datatypes:
        name = dict(zip(TEXTS, QUESTIONS, strict=True)).get(name, name)
    if name not in datatypes:
        raise FieldError(
            f"unexpected inference input '{name[:80]}' for model '{model}'",
            field="inputs",
            expected=f"one of {', '.join(datatypes)}",
        )
    if name in seen:
        raise FieldError(f"input '{name}' comes twice for model '{model}'", field="inputs")
    return name


def gather(
    tensors: Mapping[str, Array], shapes: Mapping[str, Shape], *, datatypes: Datatypes, model: str
) -> tuple[Inputs, bool, Layout]:
    """The sequences that input tensors hold together, whether they came as text, and their layout.

    Args:
        tensors: by name, in one dimension; each has as many values as its shape says.
        shapes: by name.
        datatypes: from :func:`datatypes_of`.
        model: for messages.

    Raises:
        InvalidRequestError: some do not go together.
    """
    pair = QUESTIONS if QUESTION in datatypes else TEXTS
    is_text = pair[0] in tensors
    leading, family = (pair[0], pair) if is_text else ("input_ids", IDS)
    if leading not in tensors or not set(tensors) <= set(family):
        raise FieldError(
            f"inputs for model '{model}' are {', '.join(tensors) or 'none'}",
            field="inputs",
            expected=f"{_WANTED[pair]}, or input_ids (and attention_mask, token_type_ids)",
        )
    _check_shapes(shapes, leading, model=model)
    if not shapes[leading][0]:
        return [], is_text, Layout((0,))
    inputs, layout = to_inputs({name: values.reshape(shapes[name]) for name, values in tensors.items()})
    return inputs, is_text, layout


def _check_shapes(shapes: Mapping[str, Shape], leading: str, *, model: str) -> None:
    first = shapes[leading]
    fits = len(first) == 2 if leading in IDS else len(first) == 1 or (len(first) == 2 and first[1] == 1)
    wanted = "[-1,-1]" if leading in IDS else "[-1] or [-1,1]"
    if not fits or (first[0] and not math.prod(first)):
        raise FieldError(
            f"unexpected shape for input '{leading}' for model '{model}'. Expected {wanted}, got {_printed(first)}",
            field=leading,
        )
    for name, shape in shapes.items():
        if shape != first:
            raise FieldError(
                f"unexpected shape for input '{name}' for model '{model}'. "
                f"Expected {_printed(first)}, as of '{leading}', got {_printed(shape)}",
                field=name,
            )


def _printed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _name(sent: Any, *, where: str) -> str:
    if not isinstance(sent, dict):
        raise FieldError(f"{where} is {shown(sent)}", field=where, expected="an object")
    return field(sent, "name", str, where=where)


def check_reserved(names: Iterable[str]) -> None:
    """Refuse parameters that Triton keeps for itself.

    Raises:
        FieldError: one of them is.
    """
    if any(name.startswith(_RESERVED) for name in names):
        raise FieldError(
            "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.",
            field="parameters",
        )


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    check_reserved(parameters)
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise FieldError(
                f"parameter '{name[:80]}' has invalid type", field="parameters", expected="int, bool, or string"
            )


def _read_output(sent: Any) -> WantedOutput:
    name = _name(sent, where="outputs")
    parameters = optional(sent, "parameters", dict, where=name) or {}
    if _SHARED in parameters:
        raise UnsupportedError(f"output '{name}' is to lie in shared memory", do="Take it from the reply.")
    classes = optional(parameters, "classification", int, where=f"{name}.parameters") or 0
    if classes < 0:
        raise FieldError(f"classification of output '{name}' is {classes}", field=name, expected="how many classes")
    return WantedOutput(name, optional(parameters, "binary_data", bool, where=f"{name}.parameters"), classes)
