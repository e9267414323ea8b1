"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.security.needs import LOOK, OPEN, PREDICT
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

_MODEL = {"model": "Which model, where several are served: topics, topics/2 or topics@stable."}
_MAYBE_WHOLE: Schema = {"type": ["integer", "null"]}
_SEQUENCE: Schema = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2}
_ONE_OR_MORE: Schema = either(TEXT, array(TEXT, at_least=1))
_TOKEN: Schema = record({"id": WHOLE, "text": TEXT, "special": TRUTH}, {"start": _MAYBE_WHOLE, "stop": _MAYBE_WHOLE})
_SCHEMAS: dict[str, Schema] = {
    "PredictBody": record(
        {"inputs": either(TEXT, _SEQUENCE, array(_SEQUENCE, at_least=1))},
        {
            "truncate": {"type": ["boolean", "null"]},
            "truncation_direction": {"enum": ["Left", "Right", "left", "right"]},
            "raw_scores": TRUTH,
        },
    ),
    "Rank": record({"index": WHOLE, "score": NUMBER}, {"text": TEXT}),
    "Ranked": array(record({"score": NUMBER, "label": TEXT})),
    "Info": record(
        {
            "model_id": TEXT,
            "model_dtype": TEXT,
            "model_type": {"type": "object"},
            "max_input_length": WHOLE,
            "max_client_batch_size": WHOLE,
            "auto_truncate": TRUTH,
            "version": TEXT,
        }
    ),
}
_FAILING = (404, 413, 422, 424, 429, 503)
_CUTTING: dict[str, Schema] = {
    "truncate": {"type": ["boolean", "null"]},
    "truncation_direction": {"enum": ["Left", "Right", "left", "right"]},
    "prompt_name": {"type": "null"},
}
_IDS: Schema = array(WHOLE, at_least=1)
_INPUTS: Schema = either(TEXT, _IDS, array(TEXT, at_least=1), array(_IDS, at_least=1))
_VECTORS: Schema = array(array(NUMBER))
_EMBED: Schema = record(
    {"inputs": _INPUTS}, _CUTTING | {"normalize": TRUTH, "dimensions": {"type": ["integer", "null"]}}
)
_SIMILAR: Schema = record(
    {"inputs": record({"source_sentence": TEXT, "sentences": array(TEXT, at_least=1)})},
    {"parameters": record({}, _CUTTING)},
)
_RERANK: Schema = record(
    {"query": TEXT, "texts": array(TEXT, at_least=1)}, _CUTTING | {"raw_scores": TRUTH, "return_text": TRUTH}
)
_WET = {"source_sentence": "rain", "sentences": ["a wet day"]}
_OTHER_KIND: tuple[tuple[str, str, Schema, Schema, object], ...] = (
    ("/rerank", "Texts by their fitness to a query.", array(ref("Rank")), _RERANK,
     {"query": "rain", "texts": ["wet"]}),
    ("/embed", "Embeddings of texts.", _VECTORS, _EMBED, {"inputs": "rain"}),
    ("/embed_all", "Embeddings of every token.", array(_VECTORS), record({"inputs": _INPUTS}, _CUTTING),
     {"inputs": "rain"}),
    ("/embed_sparse", "Sparse embeddings of texts.", ANY, {"type": "object"}, {"inputs": "rain"}),
    ("/similarity", "Cosines between a sentence and others.", array(NUMBER), _SIMILAR, {"inputs": _WET}),
)  # fmt: skip


DESCRIPTION = Description(
    "TEI",
    "The HTTP API of text-embeddings-inference.",
    (
        Route("GET", "/health", "Whether every model is ready.", errors=(503,), needs=OPEN),
        Route("GET", "/ping", "The same.", errors=(503,), needs=OPEN),
        Route(
            "GET", "/info", "The model and its limits.", ref("Info"), errors=(404, 422, 503), query=_MODEL,
            needs=LOOK,
        ),
        Route(
            "POST", "/predict", "Labels with scores.", either(ref("Ranked"), array(ref("Ranked"))),
            ref("PredictBody"), {"inputs": "rain in the north"}, errors=_FAILING, query=_MODEL, needs=PREDICT,
        ),
        Route(
            "POST", "/tokenize", "Tokens with their places.", array(array(_TOKEN)),
            record({"inputs": _ONE_OR_MORE}, {"add_special_tokens": TRUTH}), {"inputs": "rain in the north"},
            errors=_FAILING, query=_MODEL, needs=PREDICT,
        ),
        *(
            Route(
                "POST", path, f"{summary} Refused by models that are not of that kind.", answer, body,
                example, status=424, errors=_FAILING, query=_MODEL, needs=PREDICT,
            )
            for path, summary, answer, body, example in _OTHER_KIND
        ),
    ),
    record({"error": TEXT, "error_type": TEXT}),
    _SCHEMAS,
)  # fmt: skip
