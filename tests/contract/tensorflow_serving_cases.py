"""TensorFlow Serving's REST API as a table of examples.

No public suite exists; this one is made to be used by others too. It assumes a server with a model
``m`` that has

- versions 1 and 2, both served, and a label ``stable`` on version 1;
- the signature ``serving_default``: ``attention_mask``, ``input_ids`` and ``token_type_ids``, int64
  (-1, -1) → ``logits``, float32 (-1, 3), where logit j of a row is half the sum of the ids whose
  mask is 1, plus j (as half_plus_two is x/2 + 2);
- ids 0 to 99, at most 16 in a row;
- for the cases marked ``extension`` only: the signatures ``text`` and ``classify`` on the labels
  bad, fair, good, with a tokenizer that knows ``w0`` … ``w93`` as ids 6 … 99, [UNK] as 1 and wraps
  a text in 2 and 3.

Sources: the clauses A.1 to A.5 restate ``tensorflow/serving`` (Apache-2.0): model_servers/
http_rest_api_util.cc, http_rest_api_handler.cc, http_server.cc and util/json_tensor.cc, and the
tests beside them.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One request and what must come back.

    Attributes:
        clause: where the rule stands.
        json: the whole body, as JSON, numbers to a millionth; None does not look at it.
        error: the exact text behind ``error``.
        contains: parts of that text.
        body: exact bytes of the reply.
        extension: Penjing's own; a strict server need not do so.
    """

    clause: str
    name: str
    method: str
    target: str
    sent: str | bytes = b""
    status: int = 200
    json: Any = None
    error: str | None = None
    contains: tuple[str, ...] = ()
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    extension: bool = False


PREDICT = "/v1/models/m:predict"
CLASSIFY = "/v1/models/m:classify"
ONE = '{"instances": [{"input_ids": [2, 7, 3], "attention_mask": [1, 1, 1]}]}'
ONE_ANSWER = {"predictions": [[6.0, 7.0, 8.0]]}
EVEN = {"bad": 0.0900305733, "fair": 0.244728476, "good": 0.665240943}  # softmax of x, x+1, x+2
EVEN_ROW = {"label": "good", "score": EVEN["good"], "probabilities": list(EVEN.values())}


def malformed(method: str, target: str, clause: str = "A.1") -> Case:
    return Case(
        clause, f"malformed: {method} {target}", method, target, ONE, 400, error=f"Malformed request: {method} {target}"
    )


def fault(name: str, sent: str | bytes, *contains: str, error: str | None = None, status: int = 400) -> Case:
    return Case("A.2", name, "POST", PREDICT, sent, status, error=error, contains=contains)


def rows(*members: str) -> str:
    return '{"instances": [' + ", ".join(members) + "]}"


DISPATCH = (
    malformed("POST", "/v1/models/m:predict?x=1"),
    malformed("POST", "/v1/models/m:PREDICT"),
    malformed("POST", "/v1/models/m:explain"),
    malformed("POST", "/v1/models/m"),
    malformed("POST", "/v1/models"),
    malformed("POST", "/v1/foo"),
    malformed("GET", "/v1/foo"),
    malformed("GET", "/v1/models/m:predict"),
    malformed("GET", "/v1/models/debug/m"),
    malformed("GET", "/v1/models/m/version/1"),
    malformed("GET", "/v1/models/m/versions/1?verbose=1"),
    malformed("POST", "/v1/models/m/metadata"),
    malformed("POST", "/v1/models/m/version/50:regress"),
    malformed("POST", "/v1/models/m/versions/HELLO:regress"),
    malformed("POST", "/v1/models/m/label/stable:predict"),
    malformed("POST", "/v1/models/m/versions/1/labels/stable:predict"),
    malformed("PUT", PREDICT),
    malformed("DELETE", "/v1/models/m"),
    malformed("PATCH", PREDICT),
    Case("A.1", "HEAD is no GET", "HEAD", "/v1/models/m", status=400),
    Case("A.1", "the path ignores case", "POST", "/V1/Models/m:predict", ONE, json=ONE_ANSWER),
    Case("A.1", "percent-decoding after matching", "POST", "/v1/models/%6D:predict", ONE, json=ONE_ANSWER),
    Case("A.1", "an encoded slash is part of the name", "POST", "/v1/models/a%2Fb:predict", ONE, 404,
         error="Servable not found for request: Latest(a/b)"),
    Case("A.1", "an encoded label", "POST", "/v1/models/m/labels/st%61ble:predict", ONE, json=ONE_ANSWER),
    Case("A.1", "version beyond int64", "POST", "/v1/models/m/versions/18446744073709551615:predict", ONE, 400,
         error="Failed to convert version: 18446744073709551615 to numeric."),
    Case("A.1", "status of a version beyond int64", "GET", "/v1/models/m/versions/9223372036854775808", status=400,
         error="Failed to convert version: 9223372036854775808 to numeric."),
    Case("A.1", "preflight", "OPTIONS", PREDICT, headers={"Origin": "https://example.org"}, body=b""),
    Case("A.1", "preflight without origin", "OPTIONS", PREDICT, status=400,
         error="Origin header is missing in CORS preflight"),
    Case("A.1", "gzip", "POST", PREDICT, gzip.compress(ONE.encode()), json=ONE_ANSWER,
         headers={"Content-Encoding": "gzip"}),
    Case("A.1", "the request's content type is ignored", "POST", PREDICT, ONE, json=ONE_ANSWER,
         headers={"Content-Type": "text/html"}),
    Case("A.1", "outside the prefix: not JSON", "GET", "/v3", status=404),
)  # fmt: skip

NAMES = (
    Case("A.2", "unknown model", "POST", "/v1/models/x:predict", ONE, 404,
         error="Servable not found for request: Latest(x)"),
    Case("A.2", "unknown version", "POST", "/v1/models/m/versions/50:predict", ONE, 404,
         error="Servable not found for request: Specific(m, 50)"),
    Case("A.2", "unknown label", "POST", "/v1/models/m/labels/none:predict", ONE, 400,
         error="Unrecognized servable version label: none"),
    Case("A.2", "status of an unknown model", "GET", "/v1/models/x", status=404,
         error="Could not find any versions of model x"),
    Case("A.2", "status of an unknown version", "GET", "/v1/models/m/versions/50", status=404,
         error="Could not find version 50 of model m"),
    Case("A.2", "metadata of an unknown model", "GET", "/v1/models/x/metadata", status=404,
         error="Servable not found for request: Latest(x)"),
    Case("A.2", "bad JSON comes before an unknown model", "POST", "/v1/models/x:predict", "{", 400,
         contains=("JSON Parse error:",)),
    Case("A.2", "an unknown model comes before a bad body", "POST", "/v1/models/x:predict", "{}", 404,
         error="Servable not found for request: Latest(x)"),
)  # fmt: skip

DOCUMENTS = (
    fault("empty body", "", error="JSON Parse error: The document is empty"),
    fault("blank body", " \n", "JSON Parse error: The document is empty", "at offset: 2"),
    fault("not JSON", "instances = [1, 2]", error="JSON Parse error: Invalid value. at offset: 0"),
    fault("no colon", '{"instances" [1]}', "Missing a colon after a name of object member.", "at offset: 13"),
    fault("no comma in object", '{"a": 1 "b": 2}', "Missing a comma or } after an object member."),
    fault("no comma in array", '{"a": [1 2]}', "Missing a comma or ] after an array element."),
    fault("no name", "{1: 2}", "Missing a name for object member."),
    fault("no quotation mark", '{"a": "b', "Missing a closing quotation mark in string."),
    fault("bad escape", r'{"a": "\x"}', "Invalid escape character in string."),
    fault("bad hex", r'{"a": "\u12g4"}', "Incorrect hex digit after \\u escape in string."),
    fault("offsets count bytes", '{"é" 1}', "at offset: 6"),
    fault("not UTF-8", b'{"instances": ["\xff"]}', "Invalid encoding in string.", "at offset: 16"),
    fault("a number too long", '{"a": ' + "9" * 5000 + "}", "JSON Parse error: Number too big"),
    fault("nested too deeply", '{"instances": ' + "[" * 100_000, "JSON Parse error:"),
    fault("not an object", "[1, 2]", error="JSON Value: [\n    1,\n    2\n] Is not object"),
    fault("a bare number", "3", error="JSON Value: 3 Is not object"),
    fault("signature_name is no string", '{"signature_name": 5, "instances": [[1]]}',
          "'signature_name' key must be a string value."),
    fault("unknown signature", '{"signature_name": "s", "instances": [[1]]}',
          error='Serving signature name: "s" not found in signature def'),
    fault("neither key", '{"signature_name": ""}', error="Missing 'inputs' or 'instances' key"),
    fault("both keys", '{"instances": [], "inputs": []}',
          "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"),
    fault("instances is no list", '{"instances": {"input_ids": [1]}}', "Expecting 'instances' to be an list/array"),
    fault("instances is empty", '{"instances": []}', "No values in 'instances' array"),
    fault("plain list for several inputs", '{"instances": [[1, 2]]}',
          error="instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"),
    fault("plain inputs for several inputs", '{"inputs": [[1, 2]]}',
          "inputs is a plain value/list, but expecting an object as multiple input tensors"),
    fault("shown values are cut", '{"signature_name": 5, "x": "' + "y" * 9000 + '"}', "'signature_name' key must be"),
)  # fmt: skip

TENSORS = (
    fault("unknown input", rows('{"input_ids": [7], "foo": [1]}'),
          error="Failed to process element: 0 key: foo of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does "
                "not have named input: foo"),
    fault("input_ids missing", rows('{"attention_mask": [1]}'),
          "Failed to process element: 0 of 'instances' list. JSON object: ",
          "keys must be equal to: attention_mask,input_ids,token_type_ids"),
    fault("rows with different keys", rows('{"input_ids": [7], "attention_mask": [1]}', '{"input_ids": [8]}'),
          "Failed to process element: 1 of 'instances' list.", "keys must be equal to:"),
    fault("columnar missing input", '{"inputs": {"attention_mask": [[1]]}}',
          error="Missing named input: input_ids in 'inputs' object."),
    fault("a float is no int64", rows('{"input_ids": [1.0]}'),
          "key: input_ids", "JSON Value: 1.0 Type: Number is not of expected type: int64"),
    fault("a string is no int64", rows('{"input_ids": ["x"]}'),
          'JSON Value: "x" Type: String is not of expected type: int64'),
    fault("true is no int64", rows('{"input_ids": [true]}'),
          "JSON Value: true Type: True is not of expected type: int64"),
    fault("null is no int64", rows('{"input_ids": [null]}'),
          "JSON Value: null Type: Null is not of expected type: int64"),
    fault("an object is no int64", rows('{"input_ids": [{"a": 1}]}'), "Type: Object is not of expected type: int64"),
    fault("NaN is read, and is no int64", rows('{"input_ids": [NaN]}'), "JSON Value: NaN Type: Number is not of"),
    fault("Infinity is read, and is no int64", rows('{"input_ids": [-Infinity]}'), "Value: -Infinity Type: Number"),
    fault("beyond int64", rows('{"input_ids": [9223372036854775808]}'),
          "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
    fault("ragged rows", rows('{"input_ids": [7, 8]}', '{"input_ids": [7, 8, 9]}'),
          "Failed to process element: 1 key: input_ids", "Expecting tensor size: 2 but got: 3"),
    fault("rows of different shapes", rows('{"input_ids": [7, 8]}', '{"input_ids": [[7, 8]]}'),
          "Expecting shape [2] but got: [1,2]"),
    fault("ragged inside a row", rows('{"input_ids": [[7, 8], [7]]}'),
          "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    fault("a list too deep", rows('{"input_ids": [7, [8]]}'), "Encountered list at unexpected level: 1 expected < 1"),
    fault("a value too high", rows('{"input_ids": [[7], 8]}'),
          "JSON Value: 8 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    fault("ragged columns", '{"inputs": {"input_ids": [[7, 8], [7]]}}', "Encountered list at unexpected size"),
    fault("an object, then a list", rows('{"input_ids": [7]}', "[7]"),
          error="Expecting object but got list at item 1 of input list"),
    fault("a row without tokens", rows('{"input_ids": 7}'), "[-1,-1]"),
    fault("a row of no tokens", rows('{"input_ids": []}'), "0 tokens"),
    fault("a row of rows of no tokens", rows('{"input_ids": [[], []]}'), "0 tokens"),
    fault("id beyond the vocabulary", rows('{"input_ids": [7, 100]}'), "token id 100"),
    fault("token type of no text", rows('{"input_ids": [2, 3], "token_type_ids": [0, 7]}'), "token type 7"),
    fault("negative token type", rows('{"input_ids": [2, 3], "token_type_ids": [-1, 0]}'), "token type -1"),
    fault("negative id", rows('{"input_ids": [-1]}'), "token id -1"),
    fault("too many tokens", rows('{"input_ids": [' + "7, " * 16 + "7]}"), "17 tokens"),
    fault("mask of another shape", rows('{"input_ids": [7, 8], "attention_mask": [1]}'), "attention_mask has shape"),
    fault("mask with a hole", rows('{"input_ids": [7, 8, 9], "attention_mask": [1, 0, 1]}'), "one run of ones"),
    fault("mask of zeros", rows('{"input_ids": [7, 8], "attention_mask": [0, 0]}'), "one run of ones"),
    fault("mask of twos", rows('{"input_ids": [7, 8], "attention_mask": [2, 2]}'), "one run of ones"),
)  # fmt: skip

ANSWERS = (
    Case("A.3", "row", "POST", PREDICT, ONE, json=ONE_ANSWER,
         body=b'{\n    "predictions": [[6.0, 7.0, 8.0]\n    ]\n}'),
    Case("A.3", "columnar", "POST", PREDICT, '{"inputs": {"input_ids": [[2, 7, 3]], "attention_mask": [[1, 1, 1]]}}',
         json={"outputs": [[6.0, 7.0, 8.0]]}),
    Case("A.3", "several rows, padded", "POST", PREDICT,
         rows('{"input_ids": [2, 7, 3], "attention_mask": [1, 1, 1]}',
              '{"input_ids": [2, 3, 0], "attention_mask": [1, 1, 0]}'),
         json={"predictions": [[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]]},
         body=b'{\n    "predictions": [[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]\n    ]\n}'),
    Case("A.3", "padding in front", "POST", PREDICT, rows('{"input_ids": [0, 2, 3], "attention_mask": [0, 1, 1]}'),
         json={"predictions": [[2.5, 3.5, 4.5]]}),
    Case("A.3", "columnar ignores extra keys", "POST", PREDICT, '{"inputs": {"input_ids": [[2, 7, 3]], "foo": 1}}',
         json={"outputs": [[6.0, 7.0, 8.0]]}),
    Case("A.3", "zero batch", "POST", PREDICT, '{"inputs": {"input_ids": [], "attention_mask": []}}',
         json={"outputs": []}),
    Case("A.3", "by version", "POST", "/v1/models/m/versions/1:predict", ONE, json=ONE_ANSWER),
    Case("A.3", "by version with leading zeros", "POST", "/v1/models/m/versions/0002:predict", ONE, json=ONE_ANSWER),
    Case("A.3", "by label", "POST", "/v1/models/m/labels/stable:predict", ONE, json=ONE_ANSWER),
    Case("A.3", "by signature", "POST", PREDICT, '{"signature_name": "serving_default", ' + ONE[1:], json=ONE_ANSWER),
    Case("A.3", "an empty signature name is the default", "POST", PREDICT, '{"signature_name": "", ' + ONE[1:],
         json=ONE_ANSWER),
    Case("A.3", "unknown top-level keys are ignored", "POST", PREDICT, '{"foo": NaN, ' + ONE[1:], json=ONE_ANSWER),
    Case("A.3", "bytes after the first value", "POST", PREDICT, ONE + "X}{", json=ONE_ANSWER),
    Case("A.3", "bytes after it that are not even UTF-8", "POST", PREDICT, ONE.encode() + b"\xff", json=ONE_ANSWER),
    Case("A.3", "byte order mark", "POST", PREDICT, b"\xef\xbb\xbf" + ONE.encode(), json=ONE_ANSWER),
    Case("A.3", "token types", "POST", PREDICT, rows('{"input_ids": [2, 7, 3], "token_type_ids": [0, 0, 1]}'),
         json=ONE_ANSWER),
    Case("A.3", "no mask", "POST", PREDICT, rows('{"input_ids": [2, 7, 3]}'), json=ONE_ANSWER, extension=True),
    Case("4.2", "a row that is a batch, as the article sends it", "POST", PREDICT,
         rows('{"input_ids": [[2, 7, 3], [2, 3, 0]], "attention_mask": [[1, 1, 1], [1, 1, 0]]}'),
         json={"predictions": [[[6.0, 7.0, 8.0], [2.5, 3.5, 4.5]]]}, extension=True),
)  # fmt: skip

TEXT = (
    Case("A.3", "text rows", "POST", PREDICT, '{"instances": ["w1 w2", "w3"]}',
         json={"predictions": [EVEN_ROW, EVEN_ROW]}, extension=True),
    Case("A.3", "text objects", "POST", PREDICT, '{"instances": [{"text": "w1"}]}',
         json={"predictions": [EVEN_ROW]}, extension=True),
    Case("A.3", "text pairs", "POST", PREDICT, '{"instances": [{"text": "w1", "text_pair": "w2"}]}',
         json={"predictions": [EVEN_ROW]}, extension=True),
    Case("A.3", "text by name", "POST", PREDICT, '{"signature_name": "text", "inputs": ["w1"]}',
         json={"outputs": {name: [value] for name, value in EVEN_ROW.items()}}, extension=True),
    Case("A.3", "text in base64", "POST", PREDICT, '{"instances": [{"b64": "dzE="}, {"b64": "dzE"}]}',
         json={"predictions": [EVEN_ROW, EVEN_ROW]}, extension=True),
    Case("A.3", "text objects in base64", "POST", PREDICT, '{"instances": [{"text": {"b64": "dzE="}}]}',
         json={"predictions": [EVEN_ROW]}, extension=True),
    Case("A.3", "a row of no texts", "POST", PREDICT, '{"instances": [{"text": []}]}',
         json={"predictions": [{"label": [], "score": [], "probabilities": []}]}, extension=True),
    Case("A.2", "bad base64", "POST", PREDICT, '{"instances": [{"b64": "?"}]}', 400,
         contains=("Unable to base64 decode",), extension=True),
    Case("A.2", "wrong base64 object", "POST", PREDICT, '{"instances": [{"text": {"b64": "dzE=", "x": 1}}]}', 400,
         contains=("not formatted correctly for base64 data",), extension=True),
    Case("A.2", "base64 that is no text", "POST", PREDICT, '{"instances": [{"b64": "/w=="}]}', 400,
         contains=("not UTF-8",), extension=True),
    Case("A.2", "half a surrogate pair", "POST", PREDICT, r'{"instances": ["\ud800"]}', 400,
         contains=("surrogate pair",), extension=True),
    Case("A.2", "text where ids are asked for", "POST", PREDICT,
         '{"signature_name": "serving_default", "instances": [{"input_ids": "w1"}]}', 400,
         contains=("is not of expected type: int64",)),
    Case("A.2", "a number among texts", "POST", PREDICT, '{"instances": ["w1", 2]}', 400,
         contains=("element: 1 of 'instances' list.", "JSON Value: 2 Type: Number is not of expected type: string"),
         extension=True),
    Case("A.2", "an object among texts", "POST", PREDICT, '{"instances": ["w1", {"text": "w2"}]}', 400,
         error="Expecting value/list but got object at item 1 of input list", extension=True),
    Case("A.4", "classify", "POST", CLASSIFY, '{"examples": [{"text": "w1"}, {"text": ["w2"]}]}',
         json={"results": [[[k, v] for k, v in EVEN.items()]] * 2}, extension=True),
    Case("A.4", "classify with a context", "POST", CLASSIFY, '{"context": {"text": "w1"}, "examples": [{"n": 1}]}',
         json={"results": [[[k, v] for k, v in EVEN.items()]]}, extension=True),
    Case("A.4", "classify by ids", "POST", CLASSIFY, '{"examples": [{"input_ids": [2, 7, 3]}]}',
         json={"results": [[[k, v] for k, v in EVEN.items()]]}, extension=True),
    Case("A.4", "regress on a classifier", "POST", "/v1/models/m:regress", '{"examples": [{"text": "w1"}]}', 400,
         contains=("tensorflow/serving/regress",)),
)  # fmt: skip

EXAMPLES = (
    Case("A.4", "no examples", "POST", CLASSIFY, "{}", 400,
         contains=("When method is classify, key 'examples' is expected and was not found",)),
    Case("A.4", "examples is no list", "POST", CLASSIFY, '{"examples": {}}', 400,
         contains=("Expecting 'examples' value to be an list/array",)),
    Case("A.4", "examples is empty", "POST", CLASSIFY, '{"examples": []}', 400,
         contains=("'examples' value is an empty array",)),
    Case("A.4", "an example is no object", "POST", CLASSIFY, '{"examples": ["w1"]}', 400,
         error="Example must be JSON object but got JSON String"),
    Case("A.4", "a feature mixes types", "POST", CLASSIFY, '{"examples": [{"x": [1, 1.5]}]}', 400,
         error="Unexpected element type in feature: x expecting type: int64"),
    Case("A.4", "a feature is null", "POST", CLASSIFY, '{"examples": [{"x": null}]}', 400,
         error="Feature: x has element with unexpected JSON type: Null"),
    Case("A.4", "a feature is nested", "POST", CLASSIFY, '{"examples": [{"x": [[1]]}]}', 400,
         error="Feature: x has element with unexpected JSON type: Array"),
    Case("A.4", "a feature is uint64", "POST", CLASSIFY, '{"examples": [{"x": 9223372036854775808}]}', 400,
         error="Feature: x has uint64 element. Only int64 is supported."),
    Case("A.4", "no known feature", "POST", CLASSIFY, '{"examples": [{"x": 1}]}', 400,
         contains=("is required but could not be found",)),
    Case("A.4", "signature of another method", "POST", CLASSIFY,
         '{"signature_name": "text", "examples": [{"text": "w1"}]}', 400,
         error="Expected classification signature method_name to be tensorflow/serving/classify. "
               "Was: tensorflow/serving/predict", extension=True),
    Case("A.4", "unknown model", "POST", "/v1/models/x:classify", '{"examples": [{"text": "w1"}]}', 404,
         error="Servable not found for request: Latest(x)"),
)  # fmt: skip


def _available(version: int) -> dict[str, Any]:
    return {"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


LOOK_UPS = (
    Case("A.5", "status of a version", "GET", "/v1/models/m/versions/1",
         json={"model_version_status": [_available(1)]}),
    Case("A.5", "a label on the status path is not resolved", "GET", "/v1/models/m/labels/stable",
         json={"model_version_status": [_available(2), _available(1)]}),
    Case("A.5", "METADATA is the status", "GET", "/v1/models/m/versions/1/METADATA",
         json={"model_version_status": [_available(1)]}),
    Case("A.1", "a version without a model", "GET", "/v1/models/versions/1", status=400,
         error="Missing model name in request."),
)  # fmt: skip

CASES = (*DISPATCH, *NAMES, *DOCUMENTS, *TENSORS, *ANSWERS, *TEXT, *EXAMPLES, *LOOK_UPS)
