"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.security.needs import LOOK, PREDICT
from penjing.serve.api.routes import ANY, TEXT, WHOLE, Description, Route, Schema, array, either, record, ref

_STATUS: Schema = record({"error_code": TEXT, "error_message": TEXT})
_SCHEMAS: dict[str, Schema] = {
    "PredictRequest": either(
        record({"instances": array(ANY, at_least=1)}, {"signature_name": TEXT}),
        record({"inputs": ANY}, {"signature_name": TEXT}),
    ),
    "PredictResponse": either(record({"predictions": array(ANY)}), record({"outputs": ANY})),
    "ExamplesRequest": record(
        {"examples": array({"type": "object"}, at_least=1)}, {"signature_name": TEXT, "context": {"type": "object"}}
    ),
    "ExamplesResponse": record({"results": array(ANY)}),
    "ModelStatus": record({"model_version_status": array(record({"version": TEXT, "state": TEXT, "status": _STATUS}))}),
    "SignatureMetadata": record({"model_spec": record({"name": TEXT, "version": TEXT}), "metadata": record({})}),
}
_PREDICT = {"instances": ["rain in the north"]}
_EXAMPLES = {"examples": [{"text": "rain in the north"}]}
_MODEL = "/v1/models/{model}"
_WHOSE = {
    _MODEL: "the newest version",
    f"{_MODEL}/versions/{{version}}": "a version",
    f"{_MODEL}/labels/{{label}}": "the version under a label",
}
_LISTED: Schema = record(
    {"object": {"const": "list"}, "models": array(TEXT), "data": array(record({"id": TEXT, "created": WHOLE}))}
)


def _of_version(base: str, whose: str) -> tuple[Route, ...]:
    failing = (404, 413, 429, 503, 504)
    asked, told = ref("ExamplesRequest"), ref("ExamplesResponse")
    return (
        Route(
            "POST", f"{base}:predict", f"Predictions by {whose}.", ref("PredictResponse"), ref("PredictRequest"),
            _PREDICT, errors=failing, needs=PREDICT,
        ),
        Route(
            "POST", f"{base}:classify", f"Classes by {whose}.", told, asked, _EXAMPLES, errors=failing,
            needs=PREDICT,
        ),
        Route(
            "POST", f"{base}:regress", f"Values by {whose}, where it has one output.", told, asked, _EXAMPLES,
            status=400, errors=(400, *failing), needs=PREDICT,
        ),
        Route(
            "GET", f"{base}/metadata", f"Signatures of {whose}.", ref("SignatureMetadata"), errors=(404,),
            needs=LOOK,
        ),
    )  # fmt: skip


DESCRIPTION = Description(
    "TensorFlow Serving",
    "TensorFlow Serving's REST API.",
    (
        Route("GET", "/v1/models", "All models, as OpenAI and KServe V1 list them.", _LISTED, where="bare", needs=LOOK),
        Route("GET", _MODEL, "States of a model's versions.", ref("ModelStatus"), errors=(404,), needs=LOOK),
        Route(
            "GET", f"{_MODEL}/versions/{{version}}", "State of a version.", ref("ModelStatus"), errors=(404,),
            needs=LOOK,
        ),
        Route(
            "GET", f"{_MODEL}/labels/{{label}}", "States of a model's versions, whatever the label.",
            ref("ModelStatus"), errors=(404,), needs=LOOK,
        ),
        *(route for base, whose in _WHOSE.items() for route in _of_version(base, whose)),
    ),
    record({"error": TEXT}),
    _SCHEMAS,
)  # fmt: skip
