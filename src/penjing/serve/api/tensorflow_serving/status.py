"""Model status and metadata, and the one answer to the URL that three dialects share.

``GET /v1/models`` and ``GET /v1/models/<m>`` belong to TensorFlow Serving, KServe V1 and OpenAI at
once. One object carries the keys of all three; clients of each ignore what they do not know. Under
its strict prefix TensorFlow Serving answers with its own keys alone.

Source: ``apis/get_model_status.proto``, ``apis/get_model_metadata.proto``, ``lib/core/error_codes.proto``.
"""

from __future__ import annotations

import json
from typing import Any

from penjing.core.errors import ModelNotFoundError
from penjing.serve.api.http import Reply
from penjing.serve.api.listing import is_ready, openai_model
from penjing.serve.api.tensorflow_serving.errors import status_of
from penjing.serve.api.tensorflow_serving.paths import Call
from penjing.serve.api.tensorflow_serving.signatures import signature_def, signatures_of
from penjing.serve.sight import KnownModels
from penjing.serve.versions import Version


def list_models(models: KnownModels) -> Reply:
    """All models, for clients of OpenAI and KServe; TensorFlow Serving itself answers 400 here."""
    names = models.names()
    return _json({"object": "list", "data": [openai_model(models, name) for name in names], "models": names})


def model_status(models: KnownModels, call: Call, *, is_strict: bool) -> Reply:
    """States of all versions, newest first, or of one. A label in the path is not resolved.

    Raises:
        ModelNotFoundError: no such model or version.
    """
    told = version_statuses(models, call)
    if not is_strict and call.ref is None:
        told |= openai_model(models, call.model) | {"name": call.model, "ready": is_ready(models, call.model)}
    return _json(told)


def version_statuses(models: KnownModels, call: Call) -> dict[str, Any]:
    """The JSON of a ``GetModelStatusResponse``. See :func:`model_status`.

    Raises:
        ModelNotFoundError: no such model or version.
    """
    shelf = models.shelf(call.model)
    versions = {} if shelf is None else shelf.versions
    if isinstance(call.ref, int):
        if call.ref not in versions:
            raise ModelNotFoundError(f"Could not find version {call.ref} of model {call.model}")
        return {"model_version_status": [_version_status(versions[call.ref])]}
    if not versions:
        raise ModelNotFoundError(f"Could not find any versions of model {call.model}")
    return {"model_version_status": [_version_status(one) for _, one in sorted(versions.items(), reverse=True)]}


def model_metadata(version: Version) -> Reply:
    """The signatures of a version."""
    return _json(
        {
            "model_spec": {"name": version.model, "signature_name": "", "version": str(version.number)},
            "metadata": {"signature_def": signature_map(version)},
        }
    )


def signature_map(version: Version) -> dict[str, Any]:
    """The JSON of a ``SignatureDefMap``."""
    return {"signature_def": signature_def(signatures_of(version.servable))}


def _version_status(version: Version) -> dict[str, Any]:
    error = version.error
    return {
        "version": str(version.number),
        "state": version.state.name,
        "status": {
            "error_code": status_of(error)[1] if error else "OK",
            "error_message": str(error) if error else "",
        },
    }


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
