"""``ModelSpec``: which model, which version, which signature.

Source: tensorflow/serving, ``model_servers/server_core.cc`` (ServableRequestFromModelSpec) and
``servables/tensorflow/util.cc`` (MakeModelSpec).
"""

from __future__ import annotations

from typing import Any

from penjing.core.errors import InvalidRequestError
from penjing.serve.answers import Answers
from penjing.serve.api.tensorflow_serving.paths import Call


def check_spec(request: Any) -> None:
    """Refuse a request that names no model.

    Raises:
        InvalidRequestError: it names none.
    """
    if not request.HasField("model_spec"):
        raise InvalidRequestError("Missing ModelSpec")
    if not request.model_spec.name:
        raise InvalidRequestError("ModelSpec has no name specified.")


def call_of(spec: Any) -> Call:
    """Model and version of a ``ModelSpec``, in the words that REST has for them."""
    chosen = spec.WhichOneof("version_choice")
    ref = spec.version.value if chosen == "version" else spec.version_label if chosen == "version_label" else None
    return Call("predict", spec.name, ref)


def tell_version(spec: Any, answers: Answers, signature: str) -> None:
    """Fill in the ``ModelSpec`` of a response: which version it was in the end."""
    spec.name, spec.signature_name = answers.model, signature
    spec.version.value = answers.version
