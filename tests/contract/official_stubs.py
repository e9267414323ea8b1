"""A program that asks a server through the stubs of tensorflow-serving-api, and prints what it was told as JSON.

``python official_stubs.py ADDRESS STORE [KEY CA]``: with an API key, which gRPC sends over TLS only. Run in a process
of its own: the stubs want TensorFlow's messages, and where TensorFlow is not installed, a stand-in takes its name. The
stand-in has TensorFlow's messages as we know them; the serving messages and both services are Google's own.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

WHOSE = {
    "tensorflow.core.framework.tensor_pb2": ("TensorProto", "TensorShapeProto", "DataType"),
    "tensorflow.core.example.example_pb2": (
        "Example", "Features", "Feature", "BytesList", "FloatList", "Int64List",
    ),
    "tensorflow.core.protobuf.meta_graph_pb2": ("SignatureDef", "TensorInfo"),
    "tensorflow.core.protobuf.error_codes_pb2": (),
}  # fmt: skip


def stand_in_for_tensorflow() -> None:
    """Put TensorFlow's messages into the default pool, in files of TensorFlow's names, and modules over them."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    from penjing.serve.grpc.messages import pool

    default, tensor_file = descriptor_pool.Default(), "tensorflow/core/framework/tensor.proto"
    for module, names in WHOSE.items():
        ours = descriptor_pb2.FileDescriptorProto()
        pool().FindFileByName(
            "tensorflow_error.proto" if module.endswith("codes_pb2") else "tensorflow.proto"
        ).CopyToProto(ours)
        file = descriptor_pb2.FileDescriptorProto(package=ours.package, syntax="proto3")
        file.name = module.removesuffix("_pb2").replace(".", "/") + ".proto"
        wanted = lambda one, names=names, all_=not names: all_ or one.name in names  # noqa: E731
        file.message_type.extend(filter(wanted, ours.message_type))
        file.enum_type.extend(filter(wanted, ours.enum_type))
        if "meta_graph" in module:
            file.dependency.append(tensor_file)
        default.Add(file)
        made = ModuleType(module)
        made.DESCRIPTOR = default.FindFileByName(file.name)
        made.xla_dot_tsl_dot_protobuf_dot_error__codes__pb2 = made  # TensorFlow's error codes are XLA's, passed on
        for name in names:
            if name != "DataType":
                setattr(
                    made, name, message_factory.GetMessageClass(default.FindMessageTypeByName(f"tensorflow.{name}"))
                )
        parts = module.split(".")
        for end in range(1, len(parts)):
            sys.modules.setdefault(".".join(parts[:end]), ModuleType(".".join(parts[:end]))).__path__ = []
        sys.modules[module] = made
        setattr(sys.modules[".".join(parts[:-1])], parts[-1], made)


def tensor_of(values):
    """As clients make it: with ``tf.make_tensor_proto`` where there is TensorFlow."""
    import numpy as np
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    array = np.array(values)
    if make := getattr(sys.modules["tensorflow"], "make_tensor_proto", None):
        return make(values)
    made = TensorProto(dtype=7 if array.dtype.kind == "U" else 9)
    for size in array.shape:
        made.tensor_shape.dim.add(size=size)
    if array.dtype.kind == "U":
        made.string_val.extend(one.encode() for one in array.ravel().tolist())
    else:
        made.tensor_content = array.astype("<i8").tobytes()
    return made


def predictions(channel) -> dict[str, object]:
    """What the calls of PredictionService say."""
    from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, prediction_service_pb2_grpc

    predictor, told = prediction_service_pb2_grpc.PredictionServiceStub(channel), {}

    request = named(predict_pb2.PredictRequest())
    request.model_spec.version_label = "stable"
    request.inputs["input_ids"].CopyFrom(tensor_of([[2, 7, 3], [2, 3, 0]]))
    request.inputs["attention_mask"].CopyFrom(tensor_of([[1, 1, 1], [1, 1, 0]]))
    request.inputs["token_type_ids"].CopyFrom(tensor_of([[0, 0, 0], [0, 0, 0]]))
    response = predictor.Predict(request, timeout=20)
    told["logits"] = [list(response.outputs["logits"].float_val), response.model_spec.version.value]

    request = named(predict_pb2.PredictRequest())
    request.inputs["text"].CopyFrom(tensor_of(["w1 w2", "w3"]))
    told["label"] = [one.decode() for one in predictor.Predict(request, timeout=20).outputs["label"].string_val]

    request = named(classification_pb2.ClassificationRequest())
    request.input.example_list.examples.add().features.feature["text"].bytes_list.value.append(b"w1")
    classes = predictor.Classify(request, timeout=20).result.classifications[0].classes
    told["classes"] = [[one.label, round(one.score, 6)] for one in classes]

    several = inference_pb2.MultiInferenceRequest(input=request.input)
    named(several.tasks.add(method_name="tensorflow/serving/classify"))
    told["multi"] = len(predictor.MultiInference(several, timeout=20).results[0].classification_result.classifications)
    return told


def metadata(channel) -> dict[str, object]:
    """What the model tells of itself."""
    from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc

    request = named(get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]))
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request, timeout=20)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    ids = default.inputs["input_ids"]
    return {
        "signatures": sorted(signatures.signature_def),
        "method": default.method_name,
        "input_ids": [ids.dtype, [one.size for one in ids.tensor_shape.dim]],
    }


def models(channel, base_path: str) -> dict[str, object]:
    """What the calls of ModelService say."""
    from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    statuses = stub.GetModelStatus(named(get_model_status_pb2.GetModelStatusRequest()), timeout=20)
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(name="m", base_path=base_path, model_platform="tensorflow")
    config.model_version_policy.specific.versions.append(1)
    config.version_labels["stable"] = 1
    return {
        "status": [[one.version, one.state, one.status.error_code] for one in statuses.model_version_status],
        "reload": stub.HandleReloadConfigRequest(request, timeout=20).status.error_code,
    }


def faults(channel) -> dict[str, object]:
    """What is said of a model that there is not."""
    import grpc
    from tensorflow_serving.apis import (
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    predictor = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    told = []
    for call, request in (
        (predictor.Predict, predict_pb2.PredictRequest()),
        (predictor.Regress, regression_pb2.RegressionRequest()),
        (model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus, get_model_status_pb2.GetModelStatusRequest()),
    ):
        try:
            call(named(request, "x"), timeout=20)
        except grpc.RpcError as error:
            told.append([error.code().name, error.details()])
    return {"faults": told}


def named(request, model: str = "m"):
    request.model_spec.name = model
    return request


def opened(address: str, key: str | None = None, ca: str | None = None):
    """A channel, with the key as call credentials where there is one."""
    import grpc

    if key is None:
        return grpc.insecure_channel(address)
    tls = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    return grpc.secure_channel(
        address, grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(key))
    )


def ask(address: str, base_path: str, *credentials: str) -> dict[str, object]:
    """One of each call."""
    with opened(address, *credentials) as channel:
        return predictions(channel) | metadata(channel) | faults(channel) | models(channel, base_path)


if __name__ == "__main__":
    if find_spec("tensorflow") is None:
        stand_in_for_tensorflow()
    else:
        import tensorflow  # noqa: F401
    print(json.dumps(ask(*sys.argv[1:])))
