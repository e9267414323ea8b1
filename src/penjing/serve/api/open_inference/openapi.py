"""The dialect's routes, as the OpenAPI document tells them.

Source: kserve/open-inference-protocol, ``specification/protocol/open_inference_rest.yaml``, with Triton's
extensions added.
"""

from __future__ import annotations

from penjing.security.needs import LOOK, OPEN, OPERATE, PREDICT
from penjing.serve.api.routes import (
    ANY,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    Description,
    Route,
    Schema,
    array,
    either,
    record,
    ref,
)

_PARAMETERS: Schema = {"type": "object", "additionalProperties": either(TEXT, NUMBER, TRUTH)}
_TENSOR: Schema = record({"name": TEXT, "datatype": TEXT, "shape": array(WHOLE)})
_INPUT: Schema = record(
    {"name": TEXT, "datatype": {"enum": ["BYTES", "INT64", "INT32"]}, "shape": array(WHOLE)},
    {"parameters": _PARAMETERS, "data": array(ANY)},
)
_OUTPUT: Schema = record(
    {"name": TEXT, "datatype": TEXT, "shape": array(WHOLE)}, {"parameters": _PARAMETERS, "data": array(ANY)}
)
_DURATION: Schema = record({"count": WHOLE, "ns": WHOLE})
_PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
_READY: Schema = record({"name": TEXT, "ready": TRUTH})
_EXAMPLE = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["rain in the north"]}]}

_SCHEMAS: dict[str, Schema] = {
    "InferRequest": record(
        {"inputs": array(_INPUT)},
        {"id": TEXT, "parameters": _PARAMETERS, "outputs": array(record({"name": TEXT}, {"parameters": _PARAMETERS}))},
    ),
    "InferResponse": record({"model_name": TEXT, "model_version": TEXT, "outputs": array(_OUTPUT)}, {"id": TEXT}),
    "ServerMetadata": record({"name": TEXT, "version": TEXT, "extensions": array(TEXT)}),
    "ModelMetadata": record(
        {"name": TEXT, "versions": array(TEXT), "platform": TEXT, "inputs": array(_TENSOR), "outputs": array(_TENSOR)}
    ),
    "ModelConfig": record({"name": TEXT, "max_batch_size": WHOLE, "input": array(ANY), "output": array(ANY)}),
    "ModelStatistics": record(
        {
            "model_stats": array(
                record(
                    {
                        "name": TEXT,
                        "version": TEXT,
                        "last_inference": WHOLE,
                        "inference_count": WHOLE,
                        "execution_count": WHOLE,
                        "inference_stats": record(dict.fromkeys(_PARTS, _DURATION)),
                        "batch_stats": array(ANY),
                    }
                )
            )
        }
    ),
    "GenerateRequest": record(
        {"text_input": TEXT},
        {
            "id": TEXT,
            "parameters": record(
                {},
                {
                    "temperature": NUMBER,
                    "top_p": NUMBER,
                    "max_tokens": {"type": "integer", "minimum": 1},
                    "stop": array(TEXT),
                    "details": TRUTH,
                },
            ),
        },
    ),
    "GenerateResponse": record(
        {"text_output": TEXT, "model_name": TEXT, "model_version": TEXT}, {"id": TEXT, "details": record({})}
    ),
    "RepositoryIndex": array(record({"name": TEXT, "state": TEXT, "reason": TEXT}, {"version": TEXT})),
}
_GENERATE = {"text_input": "rain in the", "parameters": {"max_tokens": 8}}
_GENERATE_ERRORS = (404, 413, 501, 503, 504)
_MODEL, _VERSION = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"


def _of_model(base: str) -> tuple[Route, ...]:
    """The routes that a model and each of its versions has."""
    whose = "a version" if base == _VERSION else "a model"
    return (
        Route("GET", base, f"Metadata of {whose}.", ref("ModelMetadata"), errors=(404, 503), needs=LOOK),
        Route("GET", f"{base}/ready", f"Whether {whose} takes requests.", _READY, errors=(404, 503), needs=LOOK),
        Route("GET", f"{base}/config", f"Configuration of {whose}.", ref("ModelConfig"), errors=(404, 503), needs=LOOK),
        Route("GET", f"{base}/stats", f"Statistics of {whose}.", ref("ModelStatistics"), errors=(404, 503), needs=LOOK),
        Route(
            "POST", f"{base}/infer", f"Inference by {whose}.", ref("InferResponse"), ref("InferRequest"), _EXAMPLE,
            errors=(404, 413, 501, 503, 504), needs=PREDICT,
        ),
        Route(
            "POST", f"{base}/generate", f"Text that goes on from a text, by {whose} that writes.",
            ref("GenerateResponse"), ref("GenerateRequest"), _GENERATE, status=501, errors=_GENERATE_ERRORS,
            needs=PREDICT,
        ),
        Route(
            "POST", f"{base}/generate_stream", f"The same as a stream of events, by {whose} that writes.", None,
            ref("GenerateRequest"), _GENERATE, status=501, errors=_GENERATE_ERRORS, needs=PREDICT,
        ),
    )  # fmt: skip


DESCRIPTION = Description(
    "Open Inference",
    "The Open Inference Protocol v2, with Triton's binary tensors, classification, repository and statistics.",
    (
        Route("GET", "/v2", "Name, version and extensions of the server.", ref("ServerMetadata"), needs=LOOK),
        Route("GET", "/v2/health/live", "Whether the server answers.", record({"live": TRUTH}), needs=OPEN),
        Route(
            "GET", "/v2/health/ready", "Whether every model is ready.", record({"ready": TRUTH}), errors=(503,),
            needs=OPEN,
        ),
        Route("GET", "/v2/models", "Names of the models.", record({"models": array(TEXT)}), needs=LOOK),
        Route("GET", "/v2/models/stats", "Statistics of all models.", ref("ModelStatistics"), needs=LOOK),
        *_of_model(_MODEL),
        *_of_model(_VERSION),
        Route(
            "POST", "/v2/repository/index", "Every version and its state.", ref("RepositoryIndex"),
            record({}, {"ready": TRUTH}), {}, needs=OPERATE,
        ),
        Route(
            "POST", "/v2/repository/models/{model}/load", "Look for versions now.", record({"name": TEXT}),
            record({}), {}, errors=(404, 501, 503, 504), needs=OPERATE,
        ),
        Route(
            "POST", "/v2/repository/models/{model}/unload", "Refused: what is served follows the store.", None,
            record({}), {}, status=501, errors=(404, 501), needs=OPERATE,
        ),
    ),
    record({"error": TEXT}),
    _SCHEMAS,
)  # fmt: skip
