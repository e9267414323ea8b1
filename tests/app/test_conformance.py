"""``penjing conformance``: what holds, what does not, and what could not be asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.calling import penjing
from contract.cases import served
from penjing.app.conformance import CLIENTS, Report, conformance
from penjing.app.conformance import run as asking
from penjing.core.errors import ResourceError, UsageError

INSTALLED = ("tensorflow-serving-rest", "triton-http", "triton-grpc", "openai")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), grpc_port=0) as running:
        yield running


@pytest.fixture(scope="module")
def report(server):
    return conformance(server.url, grpc=server.grpc_address, clients=INSTALLED, text="w1 w2")


@pytest.fixture
def stranger():
    """A server that says 200 and the metadata of a model to whatever is asked, and is wrong."""

    class Wrong(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"inputs": [], "outputs": [{"name": "logits", "datatype": "FP32"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Wrong) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def of(report: Report, client: str):
    return [outcome for outcome in report.outcomes if outcome.client == client]


@pytest.mark.parametrize("client", INSTALLED)
def test_our_server_holds_what_the_clients_ask(report, client):
    assert [one for one in of(report, client) if one.state != "passed"] == []
    assert len(of(report, client)) >= 3


def test_versions_of_the_clients_are_told(report):
    assert all(outcome.version for outcome in of(report, "openai") + of(report, "triton-http"))


def test_the_only_model_need_not_be_named(report):
    assert report.model == "m"


def test_a_client_that_is_not_installed_is_not_run(server, monkeypatch):
    monkeypatch.setattr(asking, "_is_there", lambda module: module != "openai")
    (outcome,) = conformance(server.url, clients=["openai"]).outcomes
    assert (outcome.state, outcome.check) == ("not run", "all")
    assert outcome.reason == "openai is not installed: pip install 'penjing[conformance]'"


def test_grpc_is_not_guessed(server):
    (outcome,) = conformance(server.url, clients=["triton-grpc"]).outcomes
    assert outcome.state == "not run"
    assert "--grpc" in outcome.reason


def test_a_server_that_is_wrong_fails(stranger):
    report = conformance(stranger, model="m", clients=["tensorflow-serving-rest"])
    assert report.count("passed") == 0
    assert report.count("failed") == len(report.outcomes) == 9
    assert of(report, "tensorflow-serving-rest")[0].reason.startswith("KeyError: 'predictions'")


def test_a_client_that_dies_is_a_failure(server, monkeypatch):
    monkeypatch.setattr(asking.sys, "executable", "/bin/false")
    (outcome,) = conformance(server.url, clients=["openai"]).outcomes
    assert (outcome.state, outcome.reason) == ("failed", "the client ended with status 1")


def test_bad_calls_are_refused(server, tmp_path):
    with pytest.raises(UsageError, match="no client is called 'x'; expected tensorflow-serving-rest"):
        conformance(server.url, clients=["x"])
    with pytest.raises(UsageError, match="'localhost:1' is no address of a server; expected http://host:port"):
        conformance("localhost:1")
    with pytest.raises(ResourceError, match="does not answer"):
        conformance("http://127.0.0.1:9")
    with pytest.raises(ResourceError, match="404"):
        conformance(server.url, model="no-such-model")


def test_the_command_prints_a_table_and_says_by_its_status_what_holds(server, stranger):
    good = penjing("conformance", server.url, "--client", "tensorflow-serving-rest")
    assert good.status == 0
    assert "9 passed, 0 failed" in good.out
    bad = penjing("conformance", stranger, "--model", "m", "--client", "tensorflow-serving-rest", "--json")
    assert bad.status == 1
    assert bad.json["failed"] == 9
    assert len({client.name for client in CLIENTS}) == len(CLIENTS) == 7


def test_ids_that_are_none_are_refused(server):
    refused = penjing("conformance", server.url, "--ids", "a,b")
    assert refused.status == 2
    assert "--ids is 'a,b'; expected whole numbers with commas between them" in refused.err
