"""Every example of the table over a real socket, and what a table cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from contract.cases import Case, check, send, served
from contract.tei_cases import CASES
from penjing.store.store import Store
from serve.doubles import FakeEngine, opens, publish, serving

ONE = {"inputs": "w1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store")) as running:
        yield running


def get(server, target):
    return send(server, Case("", "", "GET", target))


def predict(server, sent, target="/predict"):
    return send(server, Case("", "", "POST", target, sent))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server, case):
    check(case, send(server, case))


def test_the_table_is_whole():
    assert len(CASES) > 60
    assert len({str(case) for case in CASES}) == len(CASES)


def test_info(server):
    info = get(server, "/info").json
    assert info == get(server, "/tei/info?model=m/2").json
    assert (info["model_id"], info["model_dtype"], info["max_input_length"]) == ("m", "float32", 16)
    assert info["model_type"] == {
        "classifier": {
            "id2label": {"0": "bad", "1": "fair", "2": "good"},
            "label2id": {"bad": 0, "fair": 1, "good": 2},
        }
    }
    assert info["auto_truncate"] is True
    assert len(info["model_sha"]) == 64
    assert info["version"] == "0.1.0"


def test_a_batch_as_large_as_info_allows_is_answered(server):
    most = get(server, "/info").json["max_client_batch_size"]
    answer = predict(server, {"inputs": [["w1 " * 30]] * most})
    assert (answer.status, len(answer.json)) == (200, most)


def test_replies_say_what_they_cost_in_both_tongues(server):
    headers = predict(server, {"inputs": [["w1"], ["你", "w2"]]}).headers
    assert (headers["x-compute-type"], headers["x-compute-characters"], headers["x-compute-tokens"]) == (
        "cpu",
        "5",
        "8",
    )
    assert headers["x-penjing-tokens"] == "8"
    for name in ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
        assert int(headers[name]) >= 0


def test_a_server_that_refuses_long_text_cuts_it_where_asked(tmp_path):
    store = Store(tmp_path)
    publish(store)
    with serving(store, long_text="refuse") as server:
        long = {"inputs": "w1 " * 50}
        assert get(server, "/info").json["auto_truncate"] is False
        assert predict(server, long).status == 413
        answer = predict(server, long | {"truncate": True})
        assert (answer.status, answer.headers["x-penjing-cut-texts"]) == (200, "1")


def test_of_several_models_one_has_to_be_named(tmp_path):
    store = Store(tmp_path)
    for name in ("a", "b"):
        publish(store, name)
    with serving(store) as server:
        answer = predict(server, ONE)
        assert answer.status == 422
        assert "expected one of a, b" in answer.json["error"]
        assert predict(server, ONE, "/predict?model=b").status == 200
        assert get(server, "/info?model=a").json["model_id"] == "a"


def test_one_label_has_the_sigmoid_for_its_score(tmp_path):
    store = Store(tmp_path)
    publish(store, labels=("relevant",))
    with serving(store) as server:
        (one,) = predict(server, ONE).json
        assert one == {"score": pytest.approx(1 / (1 + np.exp(-6.0))), "label": "relevant"}
        assert predict(server, ONE | {"raw_scores": True}).json == [{"score": 6.0, "label": "relevant"}]
        assert "reranker" in get(server, "/info").json["model_type"]


def test_rerank_by_a_model_with_one_label(tmp_path):
    store = Store(tmp_path)
    publish(store, labels=("relevant",))
    with serving(store) as server:

        def rerank(**sent):
            return send(server, Case("", "", "POST", "/rerank", {"query": "w1", "texts": ["w2", "w4", "w3"]} | sent))

        half = (2 + 7 + 3 + 3) / 2  # of the ids around the text's own
        raw = [(1, half + 5), (2, half + 4.5), (0, half + 4)]
        assert rerank(raw_scores=True).json == [{"index": at, "score": score} for at, score in raw]
        told = rerank(return_text=True)
        assert [one["text"] for one in told.json] == ["w4", "w3", "w2"]
        assert [one["score"] for one in told.json] == pytest.approx([1 / (1 + np.exp(-score)) for _, score in raw])
        assert int(told.headers["x-compute-tokens"]) == 15
        assert rerank(texts=["w1 " * 40], truncate=False).status == 413
        for wrong, said in (
            ({"texts": ["w1", 3]}, "texts holds 3"),
            ({"query": 3}, "query"),
            ({"texts": "w1"}, "texts"),
        ):
            answer = rerank(**wrong)
            assert (answer.status, answer.json["error_type"]) == (422, "Validation")
            assert said in answer.json["error"]
        bare = send(server, Case("", "", "POST", "/rerank", {"texts": ["w1"]}))
        assert "query is absent" in bare.json["error"]


def test_before_the_model_is_ready(tmp_path):
    engine = FakeEngine()
    engine.gate.clear()  # warm-up does not end
    store = Store(tmp_path)
    with serving(store, open_with=opens(engine), ready_within_s=None) as server:
        assert predict(server, ONE).json["error_type"] == "Unhealthy"  # no model at all
        publish(store)
        while not server.plane.models.names():
            pass
        assert get(server, "/health").status == get(server, "/info").status == 503
        assert get(server, "/health").json == {"error": "unhealthy", "error_type": "Unhealthy"}
        answer = predict(server, ONE)
        assert (answer.status, answer.json["error_type"]) == (503, "Unhealthy")
        engine.gate.set()


def test_overload_and_deadlines_are_429_or_424(tmp_path):
    store = Store(tmp_path)
    publish(store)
    engine = FakeEngine(instances=1)
    with serving(store, open_with=opens(engine), max_queue_tokens=4) as server:
        engine.gate.clear()
        soon = {"X-Penjing-Timeout-Ms": "100"}
        running = send(server, Case("", "", "POST", "/predict", ONE, headers=soon))
        waiting = send(server, Case("", "", "POST", "/predict", ONE, headers=soon))  # the first holds the engine
        server.plane.is_draining = True
        refused = predict(server, ONE)
        server.plane.is_draining = False
        engine.gate.set()
    assert [(one.status, one.json["error_type"]) for one in (running, waiting, refused)] == [
        *((424, "Backend"), (429, "Overloaded"), (429, "Overloaded"))
    ]
    assert refused.json["error"] == "Model is overloaded"
    assert refused.headers["retry-after"] == "1"


def test_an_engine_that_fails_is_424(server):
    answer = predict(server, {"inputs": "poison"})
    assert (answer.status, answer.json["error_type"]) == (424, "Backend")
    assert answer.json["error"].startswith("Backend error: the engine failed on this request: poisoned")
