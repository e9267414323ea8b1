"""Every dialect of the server and where it answers. A new one is a line here.

==============================  ========  ====================================================
dialect                         prefix    bare paths
==============================  ========  ====================================================
health, metrics                 none      ``/healthz``, ``/readyz``, ``/metrics``, …
TensorFlow Serving              /tfs      ``/v1/…``; two of its URLs answer for three dialects
Open Inference Protocol v2      /oip      ``/v2``, ``/v2/…``
text-embeddings-inference       /tei      ``/predict``, ``/tokenize``, ``/info``, ``/health``, …
KServe V1                       /kserve   none: they would be TensorFlow Serving's
OpenAI                          /openai   ``/v1/embeddings``; the others would be TensorFlow Serving's
knowledge bases, where given    none      ``/v1/knowledge``, ``/v1/knowledge/…``
this server's OpenAPI document  none      ``/openapi.json``
==============================  ========  ====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penjing.serve.api.health import Health
from penjing.serve.api.kserve import KServe
from penjing.serve.api.open_inference import OpenInference
from penjing.serve.api.openai import OpenAI
from penjing.serve.api.openapi import SelfDescription
from penjing.serve.api.site import Mount
from penjing.serve.api.tei import TextEmbeddingsInference
from penjing.serve.api.tensorflow_serving import TensorFlowServing
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.serve.siblings import Siblings

# Gives dialects of packages above this one, which a server is handed.
MoreMounts = Callable[[DataPlane], Sequence[Mount]]


def all_mounts(
    plane: DataPlane, recipe: ServeRecipe, *, siblings: Siblings | None = None, also: MoreMounts | None = None
) -> list[Mount]:
    """The dialects in the order in which they are asked for bare paths."""
    tensorflow = TensorFlowServing(plane)
    mounts = [
        Mount(Health(plane, siblings)),
        *(also(plane) if also else ()),
        Mount(OpenAI(plane), "/openai"),  # before whom all else below /v1 is for
        Mount(tensorflow, "/tfs"),
        Mount(OpenInference(plane), "/oip"),
        Mount(TextEmbeddingsInference(plane, recipe), "/tei"),
        Mount(KServe(plane, tensorflow), "/kserve", is_bare=False),
    ]
    return [*mounts, Mount(SelfDescription(mounts))]
