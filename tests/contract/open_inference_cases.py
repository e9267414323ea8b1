"""The Open Inference Protocol over REST as a table of examples: see :mod:`contract.cases`.

Sources: OIP is kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``; BIN, CLS,
REP, STA, PAR are Triton's extensions in triton-inference-server/server, ``docs/protocol``; SRV is its
``src/http_server.cc``; ADD is Penjing's own.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

from contract.cases import EVEN, Case

INFER = "/v2/models/m/infer"


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def ids(data: Any, shape: list[int], datatype: str = "INT64", name: str = "input_ids") -> dict[str, Any]:
    return tensor(name, datatype, shape, data)


def text(data: Any, shape: list[int], name: str = "text") -> dict[str, Any]:
    return tensor(name, "BYTES", shape, data)


def asking(*inputs: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **more}


def answer(*outputs: dict[str, Any], version: str = "2", **more: Any) -> dict[str, Any]:
    return {"model_name": "m", "model_version": version, "outputs": list(outputs), **more}


def logits(*rows: float) -> dict[str, Any]:
    return tensor("logits", "FP32", [len(rows), 3], [row + number for row in rows for number in (0.0, 1.0, 2.0)])


def binary(document: dict[str, Any], *contents: bytes) -> tuple[bytes, dict[str, str]]:
    """A body with tensors behind its JSON, and the header that says where they begin."""
    head = json.dumps(document).encode()
    return b"".join((head, *contents)), {"Inference-Header-Content-Length": str(len(head))}


def binary_ids(size: int, shape: list[int], datatype: str = "INT64") -> dict[str, Any]:
    return {"name": "input_ids", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def binary_text(size: int, shape: list[int]) -> dict[str, Any]:
    return binary_ids(size, shape, "BYTES") | {"name": "text"}


def wanting(name: str, **parameters: Any) -> dict[str, Any]:
    """For a request: the only output that it wants."""
    return {"outputs": [{"name": name, "parameters": parameters}]}


def packed(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in texts)


def good(clause: str, name: str, sent: Any, expected: Any, **more: Any) -> Case:
    return Case(clause, name, "POST", INFER, sent, json=expected, **more)


def bad(clause: str, name: str, sent: Any, *contains: str, status: int = 400, **more: Any) -> Case:
    return Case(clause, name, "POST", INFER, sent, status, contains=('{"error":"', *contains), **more)


def bad_binary(name: str, document: dict[str, Any], content: bytes, *contains: str, header: str | None = None) -> Case:
    body, headers = binary(document, content)
    headers = headers if header is None else {"Inference-Header-Content-Length": header}
    return bad("BIN", name, body, *contains, headers=headers)


ONE = asking(ids([2, 7, 3], [1, 3]))
TWO_TEXTS = asking(text(["w1 w2", "w3"], [2]))
ROWS = [ids([[2, 7, 3], [2, 3, 0]], [2, 3]), ids([[1, 1, 1], [1, 1, 0]], [2, 3], name="attention_mask")]
ALL_OUTPUTS = [
    tensor("label", "BYTES", [2], ["good", "good"]),
    tensor("score", "FP32", [2], [EVEN["good"]] * 2),
    tensor("probabilities", "FP32", [2, 3], list(EVEN.values()) * 2),
    logits(10.0, 7.0),
]

PATHS = (
    Case("SRV", "a path that is none", "GET", "/v2/foo", status=404, json={"error": "Not Found"}),
    Case("SRV", "a trailing slash", "GET", "/v2/", status=404, json={"error": "Not Found"}),
    Case("SRV", "a call that a model has not", "GET", "/v2/models/m/foo", status=404, json={"error": "Not Found"}),
    Case("SRV", "the wrong verb", "GET", INFER, status=405, json={"error": "Method Not Allowed"}),
    Case("SRV", "the wrong verb for metadata", "POST", "/v2/models/m", status=405),
    Case("SRV", "shared memory", "GET", "/v2/systemsharedmemory/status", status=501, contains=("Penjing has not",)),
    Case("SRV", "shared memory of a region", "POST", "/v2/cudasharedmemory/region/r/register", status=501),
    Case("SRV", "logging", "GET", "/v2/logging", status=501),
    Case("SRV", "trace settings", "POST", "/v2/models/m/trace/setting", status=501),
    Case("SRV", "generate", "POST", "/v2/models/m/generate", {"text_input": "x"}, status=501),
    Case("SRV", "generate stream", "POST", "/v2/models/m/generate_stream", {"text_input": "x"}, status=501),
    Case("SRV", "a named repository", "POST", "/v2/repository/r/index", status=501),
    Case("SRV", "a query is ignored", "POST", f"{INFER}?a=b", ONE, json=answer(logits(6.0))),
    Case("SRV", "percent-decoding after matching", "POST", "/v2/models/%6D/infer", ONE, json=answer(logits(6.0))),
    Case("OIP", "by version", "POST", "/v2/models/m/versions/1/infer", ONE, json=answer(logits(6.0), version="1")),
    Case("OIP", "zeros in front", "POST", "/v2/models/m/versions/01/infer", ONE, json=answer(logits(6.0), version="1")),
    Case("ADD", "by alias", "POST", "/v2/models/m/versions/stable/infer", ONE, json=answer(logits(6.0), version="1")),
    Case("SRV", "a version too large for any", "POST", "/v2/models/m/versions/99999999999999999999/infer", ONE, 400,
         contains=("failed to get model version",)),
    Case("SRV", "an unknown model", "POST", "/v2/models/x/infer", ONE, 404,
         json={"error": "Request for unknown model: 'x' is not found"}),
    Case("SRV", "an unknown version", "POST", "/v2/models/m/versions/9/infer", ONE, 404,
         json={"error": "Request for unknown model: 'm' version 9 is not found"}),
    Case("ADD", "an unknown alias", "GET", "/v2/models/m/versions/canary", status=404,
         json={"error": "Request for unknown model: 'm' version canary is not found"}),
    Case("SRV", "an unknown model comes before a bad body", "POST", "/v2/models/x/infer", "{", 404),
    Case("ADD", "the strict prefix", "POST", f"/oip{INFER}", ONE, json=answer(logits(6.0))),
    Case("ADD", "below the strict prefix nothing else answers", "GET", "/oip/v1/models", status=404,
         json={"error": "Not Found"}),
)  # fmt: skip

LOOK_UPS = (
    Case("OIP", "live", "GET", "/v2/health/live", json={"live": True}),
    Case("OIP", "ready", "GET", "/v2/health/ready", json={"ready": True, "live": True}),
    Case("OIP", "a model is ready", "GET", "/v2/models/m/ready", json={"name": "m", "ready": True}),
    Case("OIP", "a version is ready", "GET", "/v2/models/m/versions/1/ready", json={"name": "m", "ready": True}),
    Case("OIP", "an unknown model is not", "GET", "/v2/models/x/ready", status=404, contains=('{"error":',)),
    Case("ADD", "the names", "GET", "/v2/models", json={"models": ["m"]}),
    Case("REP", "index", "POST", "/v2/repository/index",
         json=[{"name": "m", "version": v, "state": "READY", "reason": ""} for v in ("1", "2")]),
    Case("REP", "index of what is ready", "POST", "/v2/repository/index", {"ready": True},
         json=[{"name": "m", "version": v, "state": "READY", "reason": ""} for v in ("1", "2")]),
    Case("REP", "index with a bad flag", "POST", "/v2/repository/index", {"ready": "yes"}, 400, contains=("ready is",)),
    Case("REP", "index with a bad body", "POST", "/v2/repository/index", "[", 400, contains=("not JSON",)),
    Case("REP", "load what is loaded", "POST", "/v2/repository/models/m/load", json={"name": "m", "load": True}),
    Case("REP", "load what is not there", "POST", "/v2/repository/models/x/load", status=404, contains=("unknown",)),
    Case("REP", "load with a configuration", "POST", "/v2/repository/models/m/load", {"parameters": {"config": "{}"}},
         501, contains=("a load takes no parameters",)),
    Case("REP", "unload", "POST", "/v2/repository/models/m/unload", {}, 501, contains=("follows the store",)),
    Case("REP", "unload what is not there", "POST", "/v2/repository/models/x/unload", status=404),
    Case("STA", "statistics of an unknown model", "GET", "/v2/models/x/stats", status=404),
)  # fmt: skip

ANSWERS = (
    good("OIP", "ids", ONE, answer(logits(6.0))),
    Case("OIP", "the exact reply", "POST", INFER, ONE,
         body=b'{"model_name":"m","model_version":"2","outputs":[{"name":"logits","datatype":"FP32",'
              b'"shape":[1,3],"data":[6.0,7.0,8.0]}]}'),
    good("OIP", "nested data", asking(ids([[2, 7, 3]], [1, 3])), answer(logits(6.0))),
    good("OIP", "a mask", asking(*ROWS), answer(logits(6.0, 2.5))),
    good("OIP", "flat data of several rows", asking(ids([2, 7, 3, 2, 8, 3], [2, 3])), answer(logits(6.0, 6.5))),
    good("OIP", "INT32", asking(ids([2, 7, 3], [1, 3], "INT32")), answer(logits(6.0))),
    good("OIP", "token types", asking(*ONE["inputs"], ids([0, 0, 1], [1, 3], name="token_type_ids")),
         answer(logits(6.0))),
    good("OIP", "id", asking(*ONE["inputs"], id="a"), answer(logits(6.0), id="a")),
    good("SRV", "an empty id", asking(*ONE["inputs"], id=""), answer(logits(6.0))),
    good("OIP", "unknown keys", asking(*ONE["inputs"], foo=1), answer(logits(6.0))),
    good("PAR", "parameters of one's own", asking(*ONE["inputs"], parameters={"a": 1, "b": "c", "d": True}),
         answer(logits(6.0))),
    good("PAR", "sequences and priorities are of no consequence",
         asking(*ONE["inputs"], parameters={"sequence_id": 5, "sequence_start": True, "priority": 3}),
         answer(logits(6.0))),
    good("PAR", "a timeout that suffices", asking(*ONE["inputs"], parameters={"timeout": 9_000_000}),
         answer(logits(6.0))),
    good("OIP", "an empty batch of ids", asking(ids([], [0, 7])), answer(tensor("logits", "FP32", [0, 3], []))),
    good("ADD", "texts", TWO_TEXTS, answer(*ALL_OUTPUTS)),
    good("ADD", "texts in a column", asking(text(["w1 w2", "w3"], [2, 1])), answer(*ALL_OUTPUTS)),
    good("ADD", "texts in a nested column", asking(text([["w1 w2"], ["w3"]], [2, 1])), answer(*ALL_OUTPUTS)),
    good("ADD", "pairs", asking(text(["w1"], [1]), text(["w2"], [1], "text_pair"), outputs=[{"name": "logits"}]),
         answer(logits(11.5))),
    good("ADD", "an empty batch of texts", asking(text([], [0])),
         answer(tensor("label", "BYTES", [0], []), tensor("score", "FP32", [0], []),
                tensor("probabilities", "FP32", [0, 3], []), tensor("logits", "FP32", [0, 3], []))),
    good("OIP", "wanted outputs in their order", asking(*TWO_TEXTS["inputs"], outputs=[{"name": "logits"},
         {"name": "label"}]), answer(ALL_OUTPUTS[3], ALL_OUTPUTS[0])),
    good("ADD", "labels for ids", asking(*ONE["inputs"], outputs=[{"name": "label"}]),
         answer(tensor("label", "BYTES", [1], ["good"]))),
    good("OIP", "an empty list of outputs is none", asking(*ONE["inputs"], outputs=[]), answer(logits(6.0))),
    good("CLS", "classes", asking(*ONE["inputs"], **wanting("logits", classification=2)),
         answer(tensor("logits", "BYTES", [1, 2], ["8.000000:2:good", "7.000000:1:fair"]))),
    good("CLS", "more classes than there are",
         asking(*ONE["inputs"], **wanting("probabilities", classification=9)),
         answer(tensor("probabilities", "BYTES", [1, 3],
                       ["0.665241:2:good", "0.244728:1:fair", "0.090031:0:bad"]))),
    good("CLS", "the class of a single value",
         asking(*ONE["inputs"], **wanting("score", classification=1)),
         answer(tensor("score", "BYTES", [1, 1], ["0.665241:0"]))),
    good("CLS", "no classes", asking(*ONE["inputs"], **wanting("logits", classification=0)),
         answer(logits(6.0))),
    Case("SRV", "gzip", "POST", INFER, gzip.compress(json.dumps(ONE).encode()), json=answer(logits(6.0)),
         headers={"Content-Encoding": "gzip"}),
    Case("SRV", "deflate", "POST", INFER, zlib.compress(json.dumps(ONE).encode()), json=answer(logits(6.0)),
         headers={"Content-Encoding": "deflate"}),
)  # fmt: skip

BODIES = (
    bad("SRV", "an empty body", "", "the body is empty"),
    bad("SRV", "not JSON", "{", "not JSON"),
    bad("SRV", "bytes after the JSON", json.dumps(ONE) + "x", "not JSON"),
    bad("SRV", "not UTF-8", b'{"inputs": ["\xff"]}', "not UTF-8 at byte 13"),
    bad("SRV", "nested too deeply", '{"inputs": ' + "[" * 100_000, "nested too deeply"),
    bad("SRV", "a number too long", '{"inputs": ' + "9" * 5000 + "}", "not JSON"),
    bad("SRV", "NaN", '{"inputs": [NaN]}', "NaN is no JSON number"),
    bad("SRV", "not an object", [1], "the body is [1]"),
    bad("SRV", "no inputs", {}, "inputs is absent"),
    bad("SRV", "inputs is no list", {"inputs": {}}, "inputs is {}"),
    bad("SRV", "an input is no object", asking(5), "inputs[0] is 5"),
    bad("SRV", "an empty list of inputs", asking(), "inputs for model 'm' are none", "text (and text_pair), or"),
    bad("SRV", "an unknown input", asking(ids([1], [1, 1], name="foo")),
        "unexpected inference input 'foo' for model 'm'"),
    bad("SRV", "an input without a name", asking({"shape": [1]}), "name is absent"),
    bad("SRV", "an input without a type", asking({"name": "text", "shape": [1], "data": ["a"]}), "datatype is absent"),
    bad("SRV", "an input without a shape", asking({"name": "text", "datatype": "BYTES", "data": ["a"]}),
        "shape is absent"),
    bad("SRV", "an input without data", asking({"name": "text", "datatype": "BYTES", "shape": [1]}), "neither is set"),
    bad("SRV", "an input twice", asking(*ONE["inputs"], *ONE["inputs"]), "comes twice"),
    bad("ADD", "a mask alone", asking(ids([1], [1, 1], name="attention_mask")), "inputs for model 'm' are atten"),
    bad("ADD", "texts and ids", asking(*ONE["inputs"], text(["a"], [1])), "inputs for model 'm' are input_ids, text"),
    bad("SRV", "id is no string", asking(*ONE["inputs"], id=5), "id is 5"),
    bad("SRV", "parameters is no object", asking(*ONE["inputs"], parameters=[]), "parameters is []"),
    bad("PAR", "a reserved parameter", asking(*ONE["inputs"], parameters={"triton_x": 1}),
        "parameter keys starting with 'triton_' are reserved"),
    bad("PAR", "a parameter that is a list", asking(*ONE["inputs"], parameters={"a": []}),
        "parameter 'a' has invalid type"),
    bad("PAR", "a timeout that is no number", asking(*ONE["inputs"], parameters={"timeout": "1"}), "timeout is"),
    bad("OIP", "outputs is no list", asking(*ONE["inputs"], outputs={}), "outputs is {}"),
    bad("OIP", "an unknown output", asking(*ONE["inputs"], outputs=[{"name": "foo"}]),
        "unexpected inference output 'foo' for model 'm'"),
    bad("OIP", "an output twice", asking(*ONE["inputs"], outputs=[{"name": "logits"}] * 2), "wanted twice"),
    bad("CLS", "classes of a text", asking(*ONE["inputs"], **wanting("label", classification=1)),
        "class result not available for output due to unsupported type 'BYTES'"),
    bad("CLS", "less than no classes", asking(*ONE["inputs"], **wanting("logits", classification=-1)),
        "classification of output 'logits' is -1"),
    bad("SRV", "an unknown compression", "x", "Unsupported compression type", headers={"Content-Encoding": "br"}),
    bad("SRV", "no gzip", "xxxx", "not gzip", headers={"Content-Encoding": "gzip"}),
    bad("SRV", "half a deflate", zlib.compress(b"x" * 99)[:-5], "ends too early",
        headers={"Content-Encoding": "deflate"}),
)  # fmt: skip

TENSORS = (
    bad("OIP", "floats for ids", asking(ids([1.0], [1, 1], "FP32")), "unexpected datatype FP32", "INT64 or INT32"),
    bad("OIP", "ids for text", asking(tensor("text", "INT64", [1], [5])), "datatype INT64", "expected BYTES"),
    bad("OIP", "an unknown type", asking(ids([1], [1, 1], "FOO")), "unexpected datatype FOO"),
    bad("OIP", "a real number among ids", asking(ids([2, 1.5], [1, 2])), "value 1 of input 'input_ids' is 1.5"),
    bad("OIP", "a whole real number among ids", asking(ids([2.0], [1, 1])), "value 0 of input 'input_ids' is 2.0"),
    bad("OIP", "true among ids", asking(ids([True], [1, 1])), "value 0 of input 'input_ids' is true"),
    bad("OIP", "null among ids", asking(ids([None], [1, 1])), "is null"),
    bad("OIP", "text among ids", asking(ids(["2"], [1, 1])), "expected whole numbers"),
    bad("OIP", "a number among texts", asking(text(["a", 5], [2])), "value 1 of input 'text' is 5; expected strings"),
    bad("OIP", "beyond INT64", asking(ids([2**63], [1, 1])), "holds 9223372036854775808"),
    bad("OIP", "beyond INT32", asking(ids([2**31], [1, 1], "INT32")), "holds 2147483648", "fit INT32"),
    bad("OIP", "too few values", asking(ids([2, 3], [1, 3])), "has 2 values, but shape [1, 3]; expected 3 values"),
    bad("OIP", "too many values", asking(ids([2, 3], [1, 1])), "has 2 values"),
    bad("OIP", "ragged rows", asking(ids([[2, 7, 3], [2, 3]], [2, 3])), "is not nested as shape [2, 3]"),
    bad("OIP", "rows nested too deep", asking(ids([[[2, 7, 3]]], [1, 3])), "not nested as shape"),
    bad("OIP", "nested where it is flat", asking(text([["a"]], [1])), "not nested as shape [1]"),
    bad("OIP", "data is no list", asking(text("a", [1])), "data of input 'text' is \\\"a\\\""),
    bad("OIP", "a shape of a huge batch", asking(ids([], [10**12, 0])),
        "unexpected shape for input 'input_ids' for model 'm'. Expected [-1,-1], got [1000000000000,0]"),
    bad("OIP", "a shape of more than there is", asking(ids([2], [10**9, 10**9])), "expected 100000000000000000"),
    bad("OIP", "a negative size", asking(ids([2], [-1, 1])), "shape is [-1, 1]"),
    bad("OIP", "a size that is no number", asking(ids([2], ["1", 1])), "shape is [\\\"1\\\", 1]"),
    bad("OIP", "a size beyond INT64", asking(ids([2], [2**64, 1])), "shape is"),
    bad("OIP", "a shape of too many dimensions", asking(ids([2], [1] * 100)), "at most 8 whole numbers"),
    bad("OIP", "a shape of one dimension", asking(ids([2, 3], [2])), "Expected [-1,-1], got [2]"),
    bad("OIP", "a shape of three dimensions", asking(ids([2, 3], [1, 1, 2])), "Expected [-1,-1], got [1,1,2]"),
    bad("ADD", "texts in rows", asking(text(["a", "b"], [1, 2])), "Expected [-1] or [-1,1], got [1,2]"),
    bad("OIP", "a mask of another shape", asking(*ONE["inputs"], ids([1, 1], [1, 2], name="attention_mask")),
        "unexpected shape for input 'attention_mask' for model 'm'. Expected [1,3], as of 'input_ids', got [1,2]"),
    bad("ADD", "a mask with a hole", asking(*ONE["inputs"], ids([1, 0, 1], [1, 3], name="attention_mask")),
        "one run of ones"),
    bad("ADD", "pairs of another number", asking(text(["a"], [1]), text(["a", "b"], [2], "text_pair")),
        "unexpected shape for input 'text_pair'"),
    bad("ADD", "an id that the model has not", asking(ids([100], [1, 1])), "token id 100"),
    bad("ADD", "a negative id", asking(ids([-1], [1, 1])), "token id -1"),
    bad("ADD", "rows that are too long", asking(ids([7] * 17, [1, 17])), "17 tokens"),
    bad("ADD", "more than the queue may hold", asking(ids([7] * 48_000, [3000, 16])), "expected at most 32768"),
    bad("OIP", "half a surrogate pair", asking(text(["a", "\ud800"], [2])), "value 1 of input 'text' holds half"),
    bad("SRV", "shared memory for an input", asking({"name": "text", "datatype": "BYTES", "shape": [1],
        "parameters": {"shared_memory_region": "r"}}), "lies in shared memory", status=501),
    bad("SRV", "shared memory for an output", asking(*ONE["inputs"], **wanting("logits", shared_memory_region="r")),
        "in shared memory", status=501),
)  # fmt: skip

_IDS = struct.pack("<3q", 2, 7, 3)
BINARY = (
    bad_binary("too few bytes", asking(binary_ids(24, [1, 3])), _IDS[:-1],
               "unexpected size for input 'input_ids', expecting 1 additional bytes for model 'm'"),
    bad_binary("too many bytes", asking(binary_ids(24, [1, 3])), _IDS + b"x",
               "unexpected additional input data for model 'm'"),
    bad_binary("a size that is not the shape's", asking(binary_ids(24, [1, 2])), _IDS,
               "unexpected total byte size 24 for input 'input_ids', expecting 16"),
    bad_binary("a shape of more than there is", asking(binary_ids(24, [10**9, 10**9])), _IDS,
               "unexpected total byte size 24"),
    bad_binary("a negative size", asking(binary_ids(-1, [1, 3])), _IDS, "binary_data_size of input 'input_ids' is -1"),
    bad_binary("a size that is no number", asking(binary_ids("24", [1, 3])), _IDS, "binary_data_size is"),
    bad_binary("data and bytes", asking({**binary_ids(24, [1, 3]), "data": [1]}), _IDS, "both are set"),
    bad_binary("text that is cut off", asking(binary_text(5, [1])), packed(b"ab")[:5],
               "the 5 bytes of input 'text' are not 1 texts"),
    bad_binary("text that is too long", asking(binary_text(6, [1])), packed(b"ab"[:1]) + b"c",
               "are not 1 texts"),
    bad_binary("a text too few", asking(binary_text(6, [2])), packed(b"ab"),
               "are not 2 texts"),
    bad_binary("a count beyond memory", asking(binary_text(6, [10**15])), packed(b"ab"),
               "are not 1000000000000000 texts"),
    bad_binary("text that is not UTF-8", asking(binary_text(6, [1])), packed(b"a\xff"),
               "value 0 of input 'text' is not UTF-8 at byte 1"),
    bad_binary("a header that is too long", ONE, b"", "inference header size should be in range (0, ", header="99999"),
    bad_binary("a header that is no number", ONE, b"", "got: abc", header="abc"),
    bad_binary("a header that is negative", ONE, b"", "got: -5", header="-5"),
    bad_binary("a header of too many digits", ONE, b"", "inference header size", header="9" * 5000),
    bad_binary("a header that cuts the JSON", ONE, b"", "not JSON", header="10"),
    bad_binary("a raw request", ONE, b"", "names no input", header="0"),
    bad("BIN", "bytes without a header", asking(binary_ids(24, [1, 3])), "expecting 24 additional bytes"),
)  # fmt: skip

CASES = (*PATHS, *LOOK_UPS, *ANSWERS, *BODIES, *TENSORS, *BINARY)
