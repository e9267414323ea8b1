"""The dialect's routes, as the OpenAPI document tells them."""

from __future__ import annotations

from penjing.security.needs import LOOK, OPERATE, PREDICT
from penjing.serve.api.routes import NUMBER, TEXT, TRUTH, WHOLE, Description, Route, Schema, array, either, record, ref

_NOTHING: Schema = {"type": "null"}
_CHANGED: Schema = record({"document": TEXT, "became": TEXT}, {"passages": WHOLE})
_SCHEMAS: dict[str, Schema] = {
    "KnowledgeBase": record(
        {"name": TEXT, "documents": WHOLE, "passages": WHOLE, "writable": TRUTH},
        {role: either(TEXT, _NOTHING) for role in ("embedder", "reader", "reranker", "generator")},
    ),
    "KnowledgeQuestion": record(
        {"question": TEXT},
        {
            "passages": {"type": "integer", "minimum": 0, "maximum": 100},
            "threshold": {"type": "number", "minimum": 0, "maximum": 1},
            "generate": TRUTH,
        },
    ),
    "KnowledgeCitation": record(
        {
            "answer": TEXT,
            "kind": {"enum": ["span", "stored"]},
            "document": TEXT,
            "title": TEXT,
            "source": TEXT,
            "begin": WHOLE,
            "end": WHOLE,
            "page": either(WHOLE, _NOTHING),
            "passage": TEXT,
            "passage_begin": WHOLE,
            "confidence": NUMBER,
        }
    ),
    "KnowledgeGenerated": record(
        {
            "answer": either(TEXT, _NOTHING),
            "text": TEXT,
            "is_grounded": TRUTH,
            "holds_answer": TRUTH,
            "grounding": NUMBER,
            "missing": array(TEXT),
            "cited": array(
                record(
                    {"document": TEXT, "title": TEXT, "source": TEXT, "begin": WHOLE, "end": WHOLE, "passage": TEXT}
                    | {"page": either(WHOLE, _NOTHING), "share": NUMBER}
                )
            ),
            "left_out": WHOLE,
            "finish": {"enum": ["stop", "length"]},
            "model": TEXT,
        }
    ),
    "KnowledgeAnswer": record(
        {
            "question": TEXT,
            "answer": either(TEXT, _NOTHING),
            "confidence": NUMBER,
            "is_calibrated": TRUTH,
            "cited": either(ref("KnowledgeCitation"), _NOTHING),
            "others": array(ref("KnowledgeCitation")),
            "generated": either(ref("KnowledgeGenerated"), _NOTHING),
        },
        {"passages": array(record({"document": TEXT, "text": TEXT, "begin": WHOLE, "end": WHOLE, "rank": WHOLE}))},
    ),
    "KnowledgeDocument": record(
        {"document": TEXT},
        {
            "title": TEXT,
            "text": TEXT,
            "format": {"enum": ["text", "markdown", "html"]},
            "question": TEXT,
            "answer": TEXT,
        },
    ),
    "KnowledgeListing": record(
        {"documents": array(record({"document": TEXT, "title": TEXT, "characters": WHOLE, "passages": WHOLE}))},
        {"next": either(TEXT, _NOTHING)},
    ),
}
_FAULTS = (404, 429, 503, 504)

DESCRIPTION = Description(
    "Knowledge bases",
    "Answers out of documents, with the place; only where the server was given knowledge bases.",
    (
        Route(
            "GET", "/v1/knowledge", "All knowledge bases.", record({"bases": array(ref("KnowledgeBase"))}),
            needs=LOOK,
        ),
        Route("GET", "/v1/knowledge/{base}", "One knowledge base.", ref("KnowledgeBase"), errors=(404,), needs=LOOK),
        Route(
            "POST", "/v1/knowledge/{base}/ask", "Answer a question, or say that the base holds no answer.",
            ref("KnowledgeAnswer"), ref("KnowledgeQuestion"), {"question": "How long is the warranty?"},
            errors=(413, *_FAULTS), needs=PREDICT,
        ),
        Route(
            "GET", "/v1/knowledge/{base}/documents", "Its documents by their ids.", ref("KnowledgeListing"),
            errors=(404,), query={"after": "Ids behind this one.", "most": "How many; 100 by default."}, needs=PREDICT,
        ),
        Route(
            "POST", "/v1/knowledge/{base}/documents", "Add or replace a document, where that is allowed.", _CHANGED,
            ref("KnowledgeDocument"), {"document": "note", "text": "The warranty lasts two years."},
            errors=(403, 413, *_FAULTS), needs=OPERATE,
        ),
        Route(
            "GET", "/v1/knowledge/{base}/documents/{document}", "The text that citations count in.",
            record({"document": TEXT, "text": TEXT}), errors=(404,), needs=PREDICT,
        ),
        Route(
            "DELETE", "/v1/knowledge/{base}/documents/{document}", "Remove a document, where that is allowed.",
            _CHANGED, errors=(403, 404, 503), needs=OPERATE,
        ),
    ),
    record({"error": record({"code": TEXT, "came": TEXT, "expected": TEXT, "do": TEXT})}),
    _SCHEMAS,
)  # fmt: skip
