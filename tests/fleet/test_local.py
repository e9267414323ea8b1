"""Replica processes that the gateway starts: they answer, die, come back, and never stay behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

from fleet.test_gateway import PREDICT, until
from penjing.core.errors import ResourceError
from penjing.fleet import Gateway, GatewayRecipe, running_gateway
from penjing.serve.ports import listen
from penjing.store.store import Store
from serve.doubles import publish
from serve.onnx_models import tiny_onnx
from serve.processes import is_running

BODY = {"instances": [{"input_ids": [7, 9]}]}
ANSWER = {"predictions": [[3.5, 4.5, 5.5]]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("fleet"))
    publish(store, engine=tiny_onnx())
    return store


def recipe_for(store, replicas=2, **told):
    local = [{"replicas": replicas, "store": str(store.root), "serve": {"instances": 1, "grace_s": 5}}]
    return GatewayRecipe.model_validate({"port": 0, "local": local, "grace_s": 5, "max_wait_ms": 60_000} | told)


def test_a_replica_that_is_killed_costs_no_reply_and_is_replaced(store):
    with running_gateway(recipe_for(store)) as gateway:
        before, over, replies = gateway.pids, threading.Event(), []
        assert len(set(before)) == 2

        def keep_asking():
            with httpx.Client(base_url=gateway.url, timeout=60) as client:
                while not over.is_set():
                    reply = client.post(PREDICT, json=BODY)
                    replies.append((reply.status_code, reply.json()))

        askers = [threading.Thread(target=keep_asking) for _ in range(3)]
        for asker in askers:
            asker.start()
        until(lambda: len(replies) > 20)
        for pid in before:  # one, then the other as soon as somebody has taken over
            os.kill(pid, signal.SIGKILL)
            until(lambda gone=pid: gone not in gateway.pids and len(gateway.pids) == 2, within_s=60)
            gateway.wait_until_ready(timeout_s=60)
        seen = len(replies)
        until(lambda: len(replies) > seen + 20)
        over.set()
        for asker in askers:
            asker.join()
        assert all(reply == (200, ANSWER) for reply in replies)
        page = httpx.get(f"{gateway.url}/metrics").text
        assert 'penjing_gateway_restarts_total{replica="local-0"} 1.0' in page
        after = gateway.pids
    assert not any(is_running(pid) for pid in (*before, *after))


def test_a_stopped_process_is_hung_and_its_requests_go_elsewhere(store):
    fitness = {"every_s": 0.1, "within_s": 0.5, "unready_after": 2}
    with running_gateway(recipe_for(store, policy="round-robin", fitness=fitness)) as gateway:
        hung = gateway.pids[0]
        os.kill(hung, signal.SIGSTOP)
        try:
            replies = [httpx.post(gateway.url + PREDICT, json=BODY, timeout=60) for _ in range(4)]
        finally:
            os.kill(hung, signal.SIGCONT)
        assert [reply.json() for reply in replies] == [ANSWER] * 4


@contextmanager
def command(*arguments):
    line = [sys.executable, "-m", "penjing", "gateway", "--port", "0", "--json", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def children_of(pid):
    found = set()
    for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
        with open(f"/proc/{pid}/task/{thread}/children") as children:  # noqa: PTH123
            found |= {int(child) for child in children.read().split()}
    return found


def test_nothing_outlives_a_gateway_that_is_killed(store):
    with command("--store", str(store.root), "--replicas", "2") as process:
        said = json.loads(process.stdout.readline())
        assert said["replicas"] == ["local-0", "local-1"]
        until(lambda: httpx.get(f"{said['url']}/readyz").status_code == 200, within_s=60)
        children = children_of(process.pid)
        assert len(children) == 2
        os.kill(min(children), signal.SIGSTOP)  # even one that hangs
        process.kill()
        until(lambda: not any(is_running(pid) for pid in children))


def test_sigterm_drains_and_ends_all(store):
    with command("--store", str(store.root), "--replicas", "1") as process:
        said = json.loads(process.stdout.readline())
        until(lambda: httpx.get(f"{said['url']}/readyz").status_code == 200, within_s=60)
        children = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not any(is_running(pid) for pid in children)


def test_what_cannot_work_is_said(store, tmp_path):
    (tmp_path / "file").touch()
    broken = f"[{{store: {store.root}, serve: {{access_log: {tmp_path / 'file' / 'log'}}}}}]"
    with command("--set", f"local={broken}") as process:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        assert "access log" in said  # the replica's own words
        assert "one of its replicas cannot run" in said
    with command() as process:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 2
        assert "there are no replicas" in said
    with listen("127.0.0.1", 0) as taken, pytest.raises(ResourceError, match="is in use"):
        Gateway(recipe_for(store, port=taken.getsockname()[1]))


def test_it_is_not_opened_to_others_without_a_word_on_who_may_ask(store):
    with pytest.raises(ResourceError, match="nothing says who may ask"):
        Gateway(recipe_for(store, host="0.0.0.0"))
    told = [{"store": str(store.root), "serve": {"access_control": False}}]
    Gateway(recipe_for(store, host="0.0.0.0", local=told)).stop()
