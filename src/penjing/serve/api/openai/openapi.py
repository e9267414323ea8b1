"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.serve.api.routes import NUMBER, TEXT, WHOLE, Description, Route, Schema, array, either, record, ref

_NULLABLE: Schema = {"type": ["string", "null"]}
_IDS: Schema = array(WHOLE, at_least=1)
_SCHEMAS: dict[str, Schema] = {
    "Model": record({"id": TEXT, "object": {"const": "model"}, "created": WHOLE, "owned_by": TEXT}),
    "CreateEmbeddingRequest": record(
        {"model": TEXT, "input": either(TEXT, array(TEXT, at_least=1), _IDS, array(_IDS, at_least=1))},
        {
            "encoding_format": {"enum": ["float", "base64"]},
            "dimensions": {"type": "integer", "minimum": 1},
            "user": TEXT,
        },
    ),
    "CreateEmbeddingResponse": record(
        {
            "object": {"const": "list"},
            "data": array(
                record({"object": {"const": "embedding"}, "index": WHOLE, "embedding": either(TEXT, array(NUMBER))})
            ),
            "model": TEXT,
            "usage": record({"prompt_tokens": WHOLE, "total_tokens": WHOLE}),
        }
    ),
}

DESCRIPTION = Description(
    "OpenAI",
    "OpenAI's API, as far as encoders have an answer to it.",
    (
        Route(
            "GET", "/v1/models", "All models.", record({"object": {"const": "list"}, "data": array(ref("Model"))}),
            where="prefix",
        ),
        Route("GET", "/v1/models/{model}", "One model.", ref("Model"), errors=(404,), where="prefix"),
        Route(
            "POST", "/v1/embeddings", "Embeddings of texts, by embedding models.", ref("CreateEmbeddingResponse"),
            ref("CreateEmbeddingRequest"), {"model": "m", "input": "rain in the north"}, status=400,
            errors=(400, 404, 408, 413, 429, 503),
        ),
    ),
    record({"error": record({"message": TEXT, "type": TEXT, "param": _NULLABLE, "code": _NULLABLE})}),
    _SCHEMAS,
)  # fmt: skip
