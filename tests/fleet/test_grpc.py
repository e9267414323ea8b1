"""gRPC through the gateway: Triton's and TensorFlow Serving's calls, faults, models."""

from __future__ import annotations

import os
import signal
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from fleet.test_gateway import until
from fleet.test_local import recipe_for
from penjing.fleet import GatewayRecipe, running_gateway
from penjing.serve.grpc.messages import message
from penjing.store.store import Store
from serve.doubles import publish, serving
from serve.onnx_models import tiny_onnx


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("grpc"))
    publish(store, engine=tiny_onnx())
    return store


def infer(client, **more):
    ids = triton.InferInput("input_ids", [1, 2], "INT64")
    ids.set_data_from_numpy(np.array([[7, 9]], np.int64))
    return client.infer("m", [ids], **more)


def test_calls_streams_metadata_and_errors_go_through(tmp_path):
    store = Store(tmp_path)
    publish(store)
    with serving(store, grpc_port=0, grpc_reflection=True) as server:
        remote = [{"url": server.url, "grpc": server.grpc_address, "models": ["m"]}]
        recipe = GatewayRecipe.model_validate({"port": 0, "grpc_port": 0, "remote": remote})
        with running_gateway(recipe, ready_within_s=20) as gateway:
            through, direct = (triton.InferenceServerClient(one.grpc_address) for one in (gateway, server))
            assert through.get_model_metadata("m", as_json=True) == direct.get_model_metadata("m", as_json=True)
            assert infer(through).get_response().outputs == infer(direct).get_response().outputs
            with pytest.raises(InferenceServerException, match="NOT_FOUND"):
                through.get_model_metadata("nobody")
            through.close()
            direct.close()
            with grpc.insecure_channel(gateway.grpc_address) as channel:
                ask = channel.unary_unary("/grpc.health.v1.Health/Check")
                response, call = ask.with_call(b"", timeout=20)
                assert message("grpc.health.v1.HealthCheckResponse").FromString(response).status == 1
                assert call.code() is grpc.StatusCode.OK
                watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=20)
                assert next(watch) == response  # the stream has no end, and its first message is here
                watch.cancel()
                with pytest.raises(grpc.RpcError) as raised:
                    channel.unary_unary("/of.Nobody/Knows")(b"", timeout=20)
                assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_replica_that_is_killed_costs_no_answer(store):
    with running_gateway(recipe_for(store, grpc_port=0)) as gateway:
        over, answers = threading.Event(), []

        def keep_asking():
            client = triton.InferenceServerClient(gateway.grpc_address)
            while not over.is_set():
                answers.append(infer(client, client_timeout=60).as_numpy("logits"))
            client.close()

        asker = threading.Thread(target=keep_asking)
        asker.start()
        until(lambda: len(answers) > 5)
        gone = gateway.pids[0]
        os.kill(gone, signal.SIGKILL)
        until(lambda: gone not in gateway.pids and len(gateway.pids) == 2, within_s=60)
        gateway.wait_until_ready(timeout_s=60)
        seen = len(answers)
        until(lambda: len(answers) > seen + 10)
        over.set()
        asker.join()
        assert all(answer.tolist() == [[3.5, 4.5, 5.5]] for answer in answers)
