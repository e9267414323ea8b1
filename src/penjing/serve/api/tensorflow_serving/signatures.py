"""The signatures that a model offers in TensorFlow Serving's words.

``serving_default`` takes token ids and gives logits, as the model's SavedModel would, or embeddings. ``text``,
``classify`` and ``regress`` are Penjing's: they take raw text; of a model that answers questions, ``text``
takes ``question`` and ``context``. A model that fills masks takes texts alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from penjing.core.nouns import Problem, Task
from penjing.serve.api.sequences import CONTEXT, QUESTION
from penjing.serve.decoding import IN_WORDS, PROBABILITIES, SCORE
from penjing.serve.versions import Servable

DEFAULT = "serving_default"
TEXT = "text"
CLASSIFY = "classify"
REGRESS = "regress"
EMBEDDING = "embedding"
MASKS = "masks"
# What a model that writes gives; Transformers' words.
WRITTEN = {Task.TEXT_GENERATION: "generated_text", Task.TRANSLATION: "translation_text"}
_TYPE_NAMES = {"int64": "DT_INT64", "string": "DT_STRING", "float": "DT_FLOAT"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named input or output.

    Attributes:
        shape: −1 is any size.
        required: whether a request must carry it (TensorFlow Serving requires all inputs).
    """

    name: str
    dtype: Literal["int64", "string", "float"]
    shape: tuple[int, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs under one name.

    Attributes:
        plain: the input that an unnamed value stands for; None where inputs must be named.
        method: last part of TensorFlow's method name.
        also: other names that requests may call inputs by → their own.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    plain: str | None = None
    method: Literal["predict", "classify", "regress"] = "predict"
    also: tuple[tuple[str, str], ...] = ()

    def input(self, name: str) -> TensorSpec | None:
        """An input by a name that requests may call it by."""
        own = dict(self.also).get(name, name)
        return next((spec for spec in self.inputs if spec.name == own), None)


def signatures_of(servable: Servable) -> dict[str, Signature]:
    """All signatures of a model, by name."""
    engine = servable.manifest.engine
    takes_type_ids = engine is not None and engine.takes_type_ids
    embedding = servable.manifest.embedding
    outputs = embedding.size if embedding else len(servable.labels) or -1
    manifest = servable.manifest
    return _signatures(outputs, manifest.task, problem=manifest.problem_type, takes_type_ids=takes_type_ids)


@lru_cache(maxsize=64)
def _signatures(outputs: int, task: Task, *, problem: Problem | None, takes_type_ids: bool) -> dict[str, Signature]:
    if task in WRITTEN:
        text = (TensorSpec("text", "string", (-1,)),)
        written = (TensorSpec(WRITTEN[task], "string", (-1,)),)
        return {name: Signature(name, text, written, plain="text") for name in (DEFAULT, TEXT)}
    if task is Task.FEATURE_EXTRACTION:
        vector = TensorSpec(EMBEDDING, "float", (-1, outputs))
        embedding = (_default(vector, takes_type_ids=takes_type_ids), _of_text(vector))
        return {signature.name: signature for signature in embedding}
    if task is Task.FILL_MASK:  # no token ids: logits over the vocabulary for each would be megabytes a text
        masks = _of_text(TensorSpec(MASKS, "string", (-1,)))
        return {DEFAULT: replace(masks, name=DEFAULT), TEXT: masks}
    by_token = task in (Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING)
    logits = TensorSpec("logits", "float", (-1, -1, outputs) if by_token else (-1, outputs))
    offered = [_default(logits, takes_type_ids=takes_type_ids)]
    if task is Task.TEXT_CLASSIFICATION:
        offered.append(_text(outputs, problem or Problem.SINGLE_LABEL))
        is_number = outputs == 1 and problem is not Problem.MULTI_LABEL
        offered.append(_on_examples("regress" if is_number else "classify"))
    elif task is Task.QUESTION_ANSWERING:
        offered.append(_question())
    elif by_token:  # the entities of a text are a JSON list; over REST, a list of objects
        offered.append(_of_text(TensorSpec("entities", "string", (-1,))))
    return {signature.name: signature for signature in offered}


def _default(output: TensorSpec, *, takes_type_ids: bool) -> Signature:
    ids = TensorSpec("input_ids", "int64", (-1, -1))
    mask = TensorSpec("attention_mask", "int64", (-1, -1), required=False)
    types = TensorSpec("token_type_ids", "int64", (-1, -1), required=False)
    inputs = (mask, ids, types) if takes_type_ids else (mask, ids)
    return Signature(DEFAULT, inputs, (output,))


def _text(outputs: int, problem: Problem) -> Signature:
    shapes: dict[str, tuple[int, ...]] = {PROBABILITIES: (-1, outputs)}
    return Signature(
        TEXT,
        (TensorSpec("text", "string", (-1,)), TensorSpec("text_pair", "string", (-1,), required=False)),
        tuple(
            TensorSpec(name, "float" if name in (SCORE, PROBABILITIES) else "string", shapes.get(name, (-1,)))
            for name in IN_WORDS[problem]
        ),
        plain="text",
    )


def _of_text(output: TensorSpec) -> Signature:
    return Signature(TEXT, (TensorSpec("text", "string", (-1,)),), (output,), plain="text")


def _question() -> Signature:
    return Signature(
        TEXT,
        (TensorSpec(QUESTION, "string", (-1,)), TensorSpec(CONTEXT, "string", (-1,))),
        (
            TensorSpec("answer", "string", (-1,)),
            TensorSpec("start", "int64", (-1,)),
            TensorSpec("end", "int64", (-1,)),
            TensorSpec("score", "float", (-1,)),
            TensorSpec("no_answer", "float", (-1,)),
        ),
        also=(("text", QUESTION), ("text_pair", CONTEXT)),
    )


def _on_examples(method: Literal["classify", "regress"]) -> Signature:
    outputs = {
        "classify": (TensorSpec("classes", "string", (-1, -1)), TensorSpec("scores", "float", (-1, -1))),
        "regress": (TensorSpec("outputs", "float", (-1, 1)),),
    }
    return Signature(method, (TensorSpec("inputs", "string", (-1,)),), outputs[method], method=method)


def signature_def(signatures: dict[str, Signature]) -> dict[str, Any]:
    """The signatures as the JSON of a ``SignatureDefMap``."""
    return {
        name: {
            "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
            "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
            "method_name": f"tensorflow/serving/{signature.method}",
            "defaults": {},
        }
        for name, signature in signatures.items()
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in spec.shape]
    return {
        "dtype": _TYPE_NAMES[spec.dtype],
        "tensor_shape": {"dim": dims, "unknown_rank": False},
        "name": f"{spec.name}:0",
    }
