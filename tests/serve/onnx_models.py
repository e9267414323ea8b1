"""The smallest ONNX graph that has the inputs of an exported classifier."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ROWS = ("input_ids", "position_ids", "segment_ids", "token_type_ids")


def tiny_onnx(outputs: int = 3) -> bytes:
    """Logit j of a sequence is half the id of its first token, plus j."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "width"]) for name in ROWS]
    inputs.append(helper.make_tensor_value_info("cells", TensorProto.INT64, ["sequences"]))
    constants = {
        "flat": np.array([-1], np.int64),
        "column": np.array([-1, 1], np.int64),
        "half": np.array(0.5, np.float32),
        "numbers": np.arange(outputs, dtype=np.float32)[None],
    }
    nodes = [
        helper.make_node("Reshape", ["input_ids", "flat"], ["tokens"]),
        helper.make_node("Gather", ["tokens", "cells"], ["firsts"]),
        helper.make_node("Cast", ["firsts"], ["numbered"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbered", "half"], ["halves"]),
        helper.make_node("Reshape", ["halves", "column"], ["standing"]),
        helper.make_node("Add", ["standing", "numbers"], ["logits"]),
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["sequences", outputs])
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [logits], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()
