"""Our messages: their own pool, fresh descriptors, and everything in them answered."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from docs.markdown import ROOT
from penjing.core.errors import MalformedError
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.grpc.calls import Calls
from penjing.serve.grpc.listener import handlers_of
from penjing.serve.grpc.messages import DESCRIPTORS, filled, message, pool, read
from penjing.serve.metrics import Metrics
from penjing.serve.models import Models
from penjing.serve.plane import DataPlane
from penjing.serve.recipe import ServeRecipe
from penjing.store.store import Store

FOREIGN = """
import json, sys
order = sys.argv[1:]
def ours():
    from penjing.serve.grpc.messages import message
    request = message("inference.ModelInferRequest")(model_name="m")
    return request.SerializeToString().hex()
def theirs():
    import tritonclient.grpc as triton
    from grpc_health.v1 import health_pb2
    return triton.service_pb2.ModelInferRequest(model_name="m").SerializeToString().hex()
print(json.dumps([{"ours": ours, "theirs": theirs}[name]() for name in order]))
"""


def test_the_descriptors_are_what_the_proto_files_say(tmp_path):
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed")
    spec = importlib.util.spec_from_file_location("write_protos", ROOT / "scripts" / "write_protos.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.write(tmp_path / "fresh") == 0
    fresh, kept = (described(path.read_bytes()) for path in (tmp_path / "fresh", DESCRIPTORS))
    assert fresh == kept, "stale; run: python scripts/write_protos.py"


def described(content):
    files = descriptor_pb2.FileDescriptorSet.FromString(content).file
    return {file.name: file for file in files if not file.name.startswith("google/")}


@pytest.mark.parametrize("order", [("ours", "theirs"), ("theirs", "ours")])
def test_they_stand_beside_generated_code_of_the_same_names(order):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FOREIGN, *order], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    first, second = json.loads(ran.stdout)
    assert first == second


def test_the_default_pool_knows_nothing_of_ours():
    message("tensorflow.serving.PredictRequest")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("tensorflow_serving.proto")


def test_every_method_of_every_service_has_an_answer(tmp_path):
    models = Models(StoreCatalogue(Store(tmp_path)), ServeRecipe())
    plane = DataPlane(models, Metrics())
    handlers = handlers_of(plane, ServeRecipe(grpc_reflection=True), Calls(plane, timeout_s=1, most=1))
    services = {
        service.full_name: set(service.methods_by_name)
        for file in described(DESCRIPTORS.read_bytes())
        for service in pool().FindFileByName(file).services_by_name.values()
    }
    assert {name: set(methods) for name, methods in handlers.items()} == services
    plane.close()


def test_bytes_that_are_no_message():
    with pytest.raises(MalformedError, match=r"cannot be read as tensorflow\.Example; expected what the protocol says"):
        read(message("tensorflow.Example"), b"\x0a\xff")


def test_a_message_from_its_json_form():
    made = filled("inference.ModelReadyResponse", {"ready": True, "a field of theirs": 1})
    assert made.SerializeToString() == b"\x08\x01"
