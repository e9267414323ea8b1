"""Several worker processes: one address, one page of metrics, and a dead one is replaced."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from penjing.core.errors import ResourceError, UsageError
from penjing.serve import ServeRecipe, StoreCatalogue, Workers, running_server
from penjing.serve.siblings import labelled, merged
from penjing.store.store import Store
from serve.doubles import publish
from serve.onnx_models import tiny_onnx
from serve.processes import is_running

BODY = {"instances": [{"input_ids": [7, 9]}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("workers"))
    publish(store, engine=tiny_onnx())
    return store


@contextmanager
def working(store, **told):
    recipe = ServeRecipe.model_validate({"port": 0, "workers": 2, "instances": 1, "grace_s": 5} | told)
    workers = Workers(StoreCatalogue(store), recipe)
    workers.start()
    try:
        workers.wait_until_ready(timeout_s=60)
        yield workers
    finally:
        workers.stop()


def ask(url):
    return httpx.post(f"{url}/v1/models/m:predict", json=BODY, timeout=20)


def samples(url, name):
    page = httpx.get(f"{url}/metrics").text
    families = text_string_to_metric_families(page)
    return [sample for family in families for sample in family.samples if sample.name == name]


def test_all_answer_on_one_port_and_a_dead_one_is_replaced_without_a_lost_connection(store):
    with working(store, grpc_port=0) as workers:
        assert ask(workers.url).json() == {"predictions": [[3.5, 4.5, 5.5]]}
        before = workers.pids()
        assert len(set(before)) == 2
        over, statuses = threading.Event(), []

        def keep_asking():
            while not over.is_set():
                statuses.append(ask(workers.url).status_code)  # a fresh connection each: they wait for who lives

        asker = threading.Thread(target=keep_asking)
        asker.start()
        os.kill(before[1], signal.SIGTERM)  # drains, and is replaced
        until = time.monotonic() + 60
        while len(workers.pids()) < 2 or before[1] in workers.pids():
            assert time.monotonic() < until
            time.sleep(0.05)
        workers.wait_until_ready(timeout_s=60)
        over.set()
        asker.join()
        assert set(statuses) == {200}
        assert before[0] in workers.pids()
        os.kill(before[0], signal.SIGKILL)
        until = time.monotonic() + 60
        while workers.restarts < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert ask(workers.url).status_code == 200
        with grpc.insecure_channel(workers.grpc_address) as channel:
            grpc.channel_ready_future(channel).result(timeout=20)


def test_metrics_of_all_come_from_any(store):
    with working(store) as workers:
        for _ in range(6):
            assert ask(workers.url).status_code == 200
        counted = samples(workers.url, "penjing_requests_total")
        assert sum(sample.value for sample in counted) == 6
        states = samples(workers.url, "penjing_version_state")
        assert {(sample.labels["worker"], sample.value) for sample in states} == {("0", 30.0), ("1", 30.0)}


def test_stop_drains_all_and_gives_everything_back(store, tmp_path):
    path = tmp_path / "http.sock"
    with working(store, uds=path) as workers:
        pids = workers.pids()
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://server") as client:
            assert client.post("/v1/models/m:predict", json=BODY).status_code == 200
    assert not path.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_with_the_process_that_started_them(store):
    command = [sys.executable, "-m", "penjing.serve", str(store.root), "--set", "port=0", "--set", "workers=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        children = children_of(process.pid)
        assert len(children) == 2
        process.kill()
        until = time.monotonic() + 30
        while any(is_running(pid) for pid in children):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_sigterm_ends_the_whole_server(store):
    command = [sys.executable, "-m", "penjing.serve", str(store.root), "--set", "port=0", "--set", "workers=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123
        return [int(child) for child in children.read().split()]


def test_what_workers_cannot_do_is_said(store):
    with pytest.raises(ValidationError, match="Unix socket for gRPC"):
        ServeRecipe.model_validate({"workers": 2, "grpc_uds": "a"})
    with pytest.raises(ValidationError, match="poll_s"):
        ServeRecipe.model_validate({"workers": 2, "poll_s": None})
    with pytest.raises(UsageError, match="processes"), running_server(StoreCatalogue(store), ServeRecipe(workers=2)):
        pass
    with pytest.raises(UsageError, match="cannot open a int"):
        Workers(3, ServeRecipe(workers=2, port=0))
    workers = Workers(StoreCatalogue(store), ServeRecipe(workers=2, port=0))
    with pytest.raises(ResourceError, match="in use"):
        Workers(StoreCatalogue(store), ServeRecipe(workers=2, port=workers.port))
    workers.stop()


def test_pages_are_merged_metric_by_metric():
    page = b'# HELP a Words {x}.\n# TYPE a counter\na{m="1"} 2.0\n# HELP b B.\n# TYPE b gauge\nb 3.0\n'
    both = merged([labelled(page, 0), labelled(page, 1), b""])
    assert both == (
        b'# HELP a Words {x}.\n# TYPE a counter\na{worker="0",m="1"} 2.0\na{worker="1",m="1"} 2.0\n'
        b'# HELP b B.\n# TYPE b gauge\nb{worker="0"} 3.0\nb{worker="1"} 3.0\n'
    )
    assert re.findall(rb"# TYPE (\w+)", both) == [b"a", b"b"]
