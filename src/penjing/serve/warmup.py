"""Requests of the past that a version answers before it is available.

Read from the file that the recipe names for the model, or else from the version itself: ``warmup.jsonl``, or
TensorFlow Serving's ``assets.extra/tf_serving_warmup_requests``. A line of JSON is a text, a pair of texts, or an
object with ``text`` (and ``text_pair``), ``question`` and ``context``, or ``input_ids``; TensorFlow Serving's file
holds records of ``PredictionLog``.

Promise: a file that cannot be read, or a request in it that this model would refuse, fails the version: it would not
have been warm for what was recorded. Source: tensorflow/serving, ``saved_model_warmup_util.cc``; a thousand requests
at most are read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from penjing.core.errors import CorruptBundleError, PenjingError
from penjing.core.extras import require
from penjing.serve.answers import Inputs
from penjing.serve.api.sequences import to_inputs
from penjing.serve.recipe import ServeRecipe
from penjing.store.bundle import Bundle
from penjing.tasks.answering import Answerer
from penjing.tokens import Encoding
from penjing.tokens.encode import Text

IN_BUNDLE = ("warmup.jsonl", "assets.extra/tf_serving_warmup_requests")
MOST_REQUESTS = 1000
_MOST_VALUES = 1 << 20
_STRINGS, _NUMBERS = ("text", "text_pair", "question", "context"), ("input_ids", "attention_mask", "token_type_ids")
_HEAD, _TAIL = struct.Struct("<QI"), 4  # length and its checksum before a record, the record's checksum after it


def recorded(bundle: Bundle, recipe: ServeRecipe, answering: Answerer) -> list[Encoding]:
    """The sequences of recorded requests; none where nothing was recorded.

    Raises:
        CorruptBundleError: see the module.
    """
    file = recipe.warmup.get(bundle.manifest.model) or _inside(bundle)
    if file is None:
        return []
    sequences: list[Encoding] = []
    number = 0
    try:
        for inputs in islice(_requests(file), MOST_REQUESTS):
            sequences += _encoded(inputs, answering)
            number += 1
    except (PenjingError, OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptBundleError(
            f"warm-up file {file}, after request {number}: {error}",
            expected="requests that this model can answer",
            do="Record them anew, or remove the file.",
        ) from error
    return sequences


def _inside(bundle: Bundle) -> Path | None:
    name = next((name for name in IN_BUNDLE if name in bundle.manifest.files), None)
    return bundle.file(name) if name else None


def _encoded(inputs: Inputs, answering: Answerer) -> Sequence[Encoding]:
    if inputs and isinstance(inputs[0], Encoding):
        encodings = cast("Sequence[Encoding]", inputs)
        if any(not 0 < len(one) <= answering.max_tokens for one in encodings):
            raise ValueError(f"a sequence is not of 1 to {answering.max_tokens} tokens")
        if any(not 0 <= int(one.ids.min()) <= int(one.ids.max()) < answering.vocabulary_size for one in encodings):
            raise ValueError(f"a token id is not from 0 to {answering.vocabulary_size - 1}")
        return encodings
    return answering.encode(cast("Sequence[Text]", inputs)).sequences


def _requests(file: Path) -> Iterator[Inputs]:
    return map(_from_json, _lines(file)) if file.suffix == ".jsonl" else map(_from_log, _records(file))


def _lines(file: Path) -> Iterator[Any]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _from_json(value: Any) -> Inputs:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value) and value[1:] and not value[2:]:
        return [(value[0], value[1])]
    if not isinstance(value, dict) or not value.keys() <= {*_STRINGS, *_NUMBERS}:
        raise ValueError(f"{value!r:.80} is no text, no pair, and no object of {', '.join((*_STRINGS, *_NUMBERS))}")
    kinds = {name: object if name in _STRINGS else np.int64 for name in value}
    shown = {name: [part] for name, part in value.items()}
    return to_inputs({name: np.array(part, dtype=kinds[name]) for name, part in shown.items()})[0]


def _records(file: Path) -> Iterator[bytes]:
    """The records of a TFRecord file. Checksums are passed over: the bundle's own digest covers the file."""
    with file.open("rb") as content:
        while head := content.read(_HEAD.size):
            length = _HEAD.unpack(head)[0] if len(head) == _HEAD.size else -1
            record = content.read(length) if 0 <= length <= file.stat().st_size else b""
            if len(record) != length or len(content.read(_TAIL)) != _TAIL:
                raise ValueError("a record is cut off")
            yield record


def _from_log(record: bytes) -> Inputs:
    require("google.protobuf", extra="serve")
    # Loaded here: the dialect leads to models, and models to this module; and gRPC's messages cost time.
    from penjing.serve.api.tensorflow_serving.signatures import TensorSpec
    from penjing.serve.grpc.messages import message, read
    from penjing.serve.grpc.tensorflow_serving.examples import read_input
    from penjing.serve.grpc.tensorflow_serving.tensors import read_tensor

    log = read(message("tensorflow.serving.PredictionLog"), record)
    kind = log.WhichOneof("log_type")
    if kind is None:
        raise ValueError("a record holds no request that this server knows")
    request = getattr(log, kind).request
    if kind != "predict_log":
        return read_input(request.input)
    specs = [TensorSpec(name, "string", (-1,)) for name in _STRINGS]
    specs += [TensorSpec(name, "int64", (-1, -1)) for name in _NUMBERS]
    tensors = {
        spec.name: read_tensor(request.inputs[spec.name], spec, place=place, max_values=_MOST_VALUES)
        for place, spec in enumerate(specs)
        if spec.name in request.inputs
    }
    if not tensors:
        raise ValueError(f"a request has none of the inputs {', '.join((*_STRINGS, *_NUMBERS))}")
    return to_inputs(tensors)[0]
