"""Real clients through the gateway get what they get from the server itself."""

from __future__ import annotations

import numpy as np
import openai
import pytest
import tritonclient.http as triton

from contract.writers import make_writers
from penjing.fleet import GatewayRecipe, running_gateway
from penjing.serve import ServeRecipe, StoreCatalogue, running_server
from penjing.store import Store
from serve.doubles import publish
from serve.onnx_models import tiny_onnx

WISH = {"model": "gpt2", "messages": [{"role": "user", "content": "天气怎么样? 🙂"}], "max_tokens": 12, "seed": 3}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The server's URL, and that of a gateway in front of it."""
    store = Store(make_writers(tmp_path_factory.mktemp("writers"), "gpt2"))
    publish(store, engine=tiny_onnx())
    recipe = ServeRecipe(port=0, instances=1, poll_s=None)
    with running_server(StoreCatalogue(store), recipe) as server:
        told = GatewayRecipe.model_validate({"port": 0, "remote": [{"url": server.url}], "policy": "prefix-aware"})
        with running_gateway(told) as gateway:
            yield server.url, gateway.url


def both(places, ask):
    direct, through = (ask(url) for url in places)
    assert direct == through
    return through


def test_openais_client_streams_the_same_words(places):
    def ask(url):
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            events = client.chat.completions.create(stream=True, **WISH)
            pieces = [event.choices[0].delta.content or "" for event in events if event.choices]
            whole = client.chat.completions.create(**WISH).choices[0].message.content
            return pieces, whole

    pieces, whole = both(places, ask)
    assert "".join(pieces) == whole


def test_openais_client_reads_errors(places):
    def ask(url):
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            with pytest.raises(openai.NotFoundError) as raised:
                client.chat.completions.create(**WISH | {"model": "nobody"})
            return raised.value.body

    assert both(places, ask)["code"] == "model_not_found"


def test_tritons_client_gets_the_same_tensors(places):
    def ask(url):
        client = triton.InferenceServerClient(url.removeprefix("http://"))
        ids = triton.InferInput("input_ids", [2, 3], "INT64")
        ids.set_data_from_numpy(np.array([[7, 9, 2], [2, 4, 4]], np.int64), binary_data=True)
        answer = client.infer("m", [ids])
        client.close()
        said = answer.get_response()
        return (
            client.__class__.__name__,
            [output["name"] for output in said["outputs"]],
            [answer.as_numpy(output["name"]).tolist() for output in said["outputs"]],
        )

    assert both(places, ask)[2]
