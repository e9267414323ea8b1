"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.security.needs import LOOK, OPEN, PREDICT
from penjing.serve.api.routes import ANY, TEXT, TRUTH, Description, Route, array, record

_INSTANCES = record({"instances": array(ANY, at_least=1)})
_EXAMPLE = {"instances": ["rain in the north"]}
_MODEL = "/v1/models/{model}"

DESCRIPTION = Description(
    "KServe V1",
    "KServe's prediction protocol V1.",
    (
        Route("GET", "/", "Whether the server answers.", record({"status": TEXT}), needs=OPEN),
        Route("GET", "/v1/models", "Names of the models.", record({"models": array(TEXT)}), needs=LOOK),
        Route(
            "GET", _MODEL, "Whether a model is ready.", record({"name": TEXT, "ready": TRUTH}), errors=(404, 503),
            needs=LOOK,
        ),
        Route(
            "POST", f"{_MODEL}:predict", "Predictions by the newest version.", record({"predictions": array(ANY)}),
            _INSTANCES, _EXAMPLE, errors=(404, 413, 503, 504), needs=PREDICT,
        ),
        Route(
            "POST", f"{_MODEL}:explain", "Refused: no model explains itself.", ANY, _INSTANCES, _EXAMPLE,
            status=501, errors=(404, 501, 503), needs=PREDICT,
        ),
    ),
    record({"error": TEXT}),
)  # fmt: skip
