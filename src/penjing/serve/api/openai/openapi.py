"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.security.needs import LOOK, PREDICT
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

_WRITING_ERRORS = (400, 404, 408, 413, 429, 503)
_NULLABLE: Schema = {"type": ["string", "null"]}
_IDS: Schema = array(WHOLE, at_least=1)
_FINISH: Schema = {"enum": ["stop", "length", None]}
_USAGE = record({"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE})
_SAMPLING: dict[str, Schema] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "top_k": {"type": "integer", "minimum": 1},
    "repetition_penalty": {"type": "number", "minimum": 0.01},
    "n": {"type": "integer", "minimum": 1, "maximum": 128},
    "stop": either(TEXT, {**array(TEXT), "maxItems": 4}),
    "seed": WHOLE,
    "max_tokens": {"type": "integer", "minimum": 1},
    "stream": TRUTH,
    "stream_options": record({}, {"include_usage": TRUTH}),
    "user": TEXT,
}
_ANSWER = {"id": TEXT, "created": WHOLE, "model": TEXT, "usage": _USAGE}
_SCHEMAS: dict[str, Schema] = {
    "CreateCompletionRequest": record(
        {"model": TEXT, "prompt": either(TEXT, array(TEXT, at_least=1), _IDS, array(_IDS, at_least=1))},
        {**_SAMPLING, "echo": TRUTH, "logprobs": {"type": "integer", "minimum": 0, "maximum": 5}},
    ),
    "CreateCompletionResponse": record(
        {
            **_ANSWER,
            "object": {"const": "text_completion"},
            "choices": array(record({"text": TEXT, "index": WHOLE, "logprobs": ANY, "finish_reason": _FINISH})),
        }
    ),
    "CreateChatCompletionRequest": record(
        {"model": TEXT, "messages": array(record({"role": TEXT, "content": ANY}), at_least=1)},
        {
            **_SAMPLING,
            "max_completion_tokens": {"type": "integer", "minimum": 1},
            "logprobs": TRUTH,
            "chat_template_kwargs": record({}),
        },
    ),
    "CreateChatCompletionResponse": record(
        {
            **_ANSWER,
            "object": {"const": "chat.completion"},
            "choices": array(
                record(
                    {
                        "index": WHOLE,
                        "message": record({"role": {"const": "assistant"}, "content": TEXT}),
                        "logprobs": ANY,
                        "finish_reason": _FINISH,
                    }
                )
            ),
        }
    ),
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
    "OpenAI's API: embeddings, completions and chats.",
    (
        Route(
            "GET", "/v1/models", "All models.", record({"object": {"const": "list"}, "data": array(ref("Model"))}),
            where="prefix", needs=LOOK,
        ),
        Route("GET", "/v1/models/{model}", "One model.", ref("Model"), errors=(404,), where="prefix", needs=LOOK),
        Route(
            "POST", "/v1/embeddings", "Embeddings of texts, by embedding models.", ref("CreateEmbeddingResponse"),
            ref("CreateEmbeddingRequest"), {"model": "m", "input": "rain in the north"}, status=400,
            errors=(400, 404, 408, 413, 429, 503), needs=PREDICT,
        ),
        Route(
            "POST", "/v1/completions", "Text that goes on from prompts, whole or as a stream of events.",
            ref("CreateCompletionResponse"), ref("CreateCompletionRequest"),
            {"model": "m", "prompt": "rain in the", "max_tokens": 8}, status=400, errors=_WRITING_ERRORS, needs=PREDICT,
        ),
        Route(
            "POST", "/v1/chat/completions", "The next answer of a conversation, whole or as a stream of events.",
            ref("CreateChatCompletionResponse"), ref("CreateChatCompletionRequest"),
            {"model": "m", "messages": [{"role": "user", "content": "rain?"}], "max_tokens": 8}, status=400,
            errors=_WRITING_ERRORS, needs=PREDICT,
        ),
    ),
    record({"error": record({"message": TEXT, "type": TEXT, "param": _NULLABLE, "code": _NULLABLE})}),
    _SCHEMAS,
)  # fmt: skip
