"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.serve.api.routes import TEXT, WHOLE, Description, Route, Schema, array, record, ref

_NULLABLE: Schema = {"type": ["string", "null"]}

DESCRIPTION = Description(
    "OpenAI",
    "OpenAI's API, as far as encoders have an answer to it.",
    (
        Route("GET", "/v1/models", "All models.", record({"object": {"const": "list"}, "data": array(ref("Model"))})),
        Route("GET", "/v1/models/{model}", "One model.", ref("Model"), errors=(404,)),
    ),
    record({"error": record({"message": TEXT, "type": TEXT, "param": _NULLABLE, "code": _NULLABLE})}),
    {"Model": record({"id": TEXT, "object": {"const": "model"}, "created": WHOLE, "owned_by": TEXT})},
)
