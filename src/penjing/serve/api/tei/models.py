"""Which model a request is for, and what TEI's ``/info`` says of it.

TEI serves one model; Penjing may serve several. The query parameter ``model`` names one, else the header
``x-penjing-model``, as ``topics``, ``topics/2`` or ``topics@stable``. Without either the request is for
the only model that is served.

Source of the form of ``/info``: huggingface/text-embeddings-inference, ``router/src/lib.rs`` (Info).
"""

from __future__ import annotations

from typing import Any

from penjing.core.errors import FieldError, NotReadyError, UsageError
from penjing.core.nouns import Problem, Task
from penjing.core.version import __version__
from penjing.serve.api.http import Request
from penjing.serve.recipe import ServeRecipe
from penjing.serve.sight import KnownModels
from penjing.serve.versions import Servable, Version
from penjing.store.references import Reference, parse_reference

MODEL_QUERY = "model"
_MODEL_HEADER = b"x-penjing-model"
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
_POOLINGS = {"mean": "mean", "first": "cls"}
_TOKENIZATION_WORKERS = 2


def chosen(request: Request, models: KnownModels) -> Reference:
    """The model of a request.

    Raises:
        FieldError: several are served and none is named, or the name can be no model's.
        NotReadyError: none is served yet.
    """
    if named := request.query.get(MODEL_QUERY) or request.header(_MODEL_HEADER):
        try:
            return parse_reference(named)
        except UsageError as error:
            raise FieldError(error.came, field=MODEL_QUERY, expected=error.expected, do=error.do) from error
    names = models.names()
    if not names:
        raise NotReadyError("no model has been found yet", do="Ask /readyz.")
    if len(names) > 1:
        raise FieldError(
            f"{len(names)} models are served, and the request names none",
            field=MODEL_QUERY,
            expected=f"one of {', '.join(names)}",
            do="Name it in the query, ?model=NAME, or in the header x-penjing-model.",
        )
    return Reference(names[0])


def info(version: Version, recipe: ServeRecipe) -> dict[str, Any]:
    """What TEI says of its model; a client that keeps to ``max_client_batch_size`` is never refused for size."""
    manifest, longest = version.servable.manifest, version.servable.answering.max_tokens
    engine = manifest.engine
    return {
        "model_id": version.model,
        "model_sha": manifest.files[engine.file].sha256 if engine else None,
        "model_dtype": _DTYPES[engine.precision] if engine else "float32",
        "model_type": _model_type(version.servable),
        "max_concurrent_requests": recipe.max_connections,
        "max_input_length": longest,
        "max_batch_tokens": recipe.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": max(1, recipe.max_queue_tokens // longest),
        "auto_truncate": recipe.long_text == "cut",
        "tokenization_workers": _TOKENIZATION_WORKERS,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


def is_classifier(servable: Servable) -> bool:
    """Whether TEI would call the model a classifier (or, with one label, a re-ranker)."""
    return servable.manifest.task is Task.TEXT_CLASSIFICATION


def is_reranker(servable: Servable) -> bool:
    """Whether TEI would call the model a re-ranker."""
    several = servable.manifest.problem_type is Problem.MULTI_LABEL
    return is_classifier(servable) and len(servable.labels) == 1 and not several


def _model_type(servable: Servable) -> dict[str, Any]:
    """What kind it is. TEI knows no tagger; one is a classifier here, of tokens."""
    if embedding := servable.manifest.embedding:
        return {"embedding": {"pooling": _POOLINGS[embedding.pooling]}}
    labels = servable.labels
    named = {
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return {"reranker" if is_reranker(servable) else "classifier": named}
