"""TensorFlow Serving's REST API.

What Penjing adds, all of it where TensorFlow Serving answers with an error:

- ``attention_mask`` may be left out (all ones), ``token_type_ids`` too (all zeros);
- one row may itself be a batch (a list of lists of ids): its prediction is then a list;
- for token classification, ``text`` gives a list of entities a text, objects with ``label``, ``text``, ``start``,
  ``end`` and ``score``; for feature extraction, ``embedding``;
- for question answering, ``text`` takes ``question`` and ``context`` (or ``text`` and ``text_pair``) and gives
  ``answer``, ``start``, ``end``, ``score`` and ``no_answer``;
- of several labels a text, ``text`` gives ``labels``, a list, and ``probabilities``; of a number, ``score``;
- raw text: with no ``signature_name``, strings or objects with ``text`` go to the signature ``text``
  (``text``, optionally ``text_pair`` → ``label``, ``score``, ``probabilities``), and to ``classify``;
- without the strict prefix, ``GET /v1/models`` lists the models, and ``GET /v1/models/<m>`` carries
  OpenAI's and KServe's keys too;
- ``x-penjing-timeout-ms`` in a request asks for an earlier deadline; replies say what they cost.

Source: tensorflow/serving, ``model_servers/http_rest_api_handler.cc``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penjing.core.errors import InvalidRequestError
from penjing.core.nouns import Task
from penjing.serve.answers import Answers
from penjing.serve.api.counting import counted
from penjing.serve.api.documents import LONG_BODY_BYTES
from penjing.serve.api.http import Reply, Request
from penjing.serve.api.sequences import Layout, to_inputs
from penjing.serve.api.site import NOT_FOUND
from penjing.serve.api.tensorflow_serving import errors, status
from penjing.serve.api.tensorflow_serving.bodies import Form, choose, read_inputs, signature_name
from penjing.serve.api.tensorflow_serving.examples import read_examples
from penjing.serve.api.tensorflow_serving.openapi import DESCRIPTION
from penjing.serve.api.tensorflow_serving.parsing import parse_object
from penjing.serve.api.tensorflow_serving.paths import Call, parse_call
from penjing.serve.api.tensorflow_serving.predicting import check_method, enter, name_for, output_tensors
from penjing.serve.api.tensorflow_serving.printing import (
    columns_json,
    decimals,
    objects_json,
    results_json,
    rows_json,
    tokens_of,
)
from penjing.serve.api.tensorflow_serving.signatures import TEXT, Signature, signatures_of
from penjing.serve.decoding import classify, entities, fillings
from penjing.serve.plane import DataPlane
from penjing.serve.versions import Servable, Version


class TensorFlowServing:
    """See the module.

    Args:
        plane: answers predictions.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path[:4].lower() == "/v1/"

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        if not self.claims(request.path):
            return NOT_FOUND
        if request.method == "OPTIONS":
            return _preflight(request)
        call = parse_call(request.method, request.target)
        if request.method != "POST":
            return self._look_up(call, is_strict=bool(request.prefix))
        with counted(self._plane, call.model, request, api=call.kind.capitalize()):
            return await self._run(call, request)

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)

    def _look_up(self, call: Call, *, is_strict: bool) -> Reply:
        models = self._plane.models
        if not call.model and call.kind == "status" and call.ref is None and not is_strict:
            return status.list_models(models)
        if not call.model:
            raise InvalidRequestError("Missing model name in request.")
        if call.kind == "status":
            return status.model_status(models, call, is_strict=is_strict)
        version = enter(self._plane.models, call)
        try:
            return status.model_metadata(version)
        finally:
            version.leave()

    async def _run(self, call: Call, request: Request) -> Reply:
        body = await request.body()
        if len(body) > LONG_BODY_BYTES:
            document = await self._plane.aside(lambda: parse_object(body), deadline=request.deadline)
        else:
            document = parse_object(body)
        asked = signature_name(document)
        if call.kind == "predict":
            return await self._predict(call, request, document)
        inputs = read_examples(document, method=call.kind)
        version = enter(self._plane.models, call)
        try:
            _check_method(version, asked, method=call.kind)
            with request.while_connected():
                answers = await self._plane.ask(version, inputs, deadline=request.deadline)
        finally:
            version.leave()
        results = _classes(answers) if call.kind == "classify" else decimals(answers.outputs[:, 0])
        return Reply(200, results_json(results), headers=answers.cost.headers())

    async def _predict(self, call: Call, request: Request, document: dict[str, Any]) -> Reply:
        version = enter(self._plane.models, call)
        try:
            signature = choose(document, signatures_of(version.servable))
            check_method(signature, "predict")
            form, tensors = read_inputs(document, signature)
            inputs, layout = to_inputs(tensors)
            with request.while_connected():
                answers = await self._plane.ask(version, inputs, deadline=request.deadline)
            body = _print(answers, version.servable, signature, form=form, layout=layout)
        finally:
            version.leave()
        return Reply(200, body, headers=answers.cost.headers())


def _print(answers: Answers, servable: Servable, signature: Signature, *, form: Form, layout: Layout) -> bytes:
    if signature.name == TEXT and servable.manifest.task is Task.TOKEN_CLASSIFICATION:
        return objects_json(entities(answers, servable), layout.shape, form=form)
    if servable.manifest.task is Task.FILL_MASK:
        return objects_json(fillings(answers, servable), layout.shape, form=form)
    tensors = output_tensors(answers, servable, signature, layout=layout)
    return rows_json(tensors) if form == "row" else columns_json(tensors)


def _classes(answers: Answers) -> list[str]:
    predicted = classify(answers)
    names = tokens_of("label", np.array(predicted.classes, object))
    scores = tokens_of("score", predicted.scores)
    rows = [scores[begin : begin + len(names)] for begin in range(0, len(scores), len(names))]
    return ["[" + ", ".join(f"[{name}, {score}]" for name, score in zip(names, row, strict=True)) + "]" for row in rows]


def _check_method(version: Version, asked: str, *, method: str) -> None:
    signatures = signatures_of(version.servable)
    name = name_for(asked, signatures, method=method)
    if name not in signatures:
        raise InvalidRequestError(f'Serving signature name: "{name}" not found in signature def')
    check_method(signatures[name], method)


def _preflight(request: Request) -> Reply:
    if not request.header(b"origin").startswith(("http://", "https://")):
        raise InvalidRequestError("Origin header is missing in CORS preflight")
    return Reply(200, b"")
