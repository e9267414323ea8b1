"""SIGTERM under load: what was sent before it is answered; what comes after is told to go elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from penjing.store.store import Store
from serve.doubles import SLOW, publish

CLIENTS = 8
SCRIPT = """
import sys
from pathlib import Path
from penjing.serve import ServeRecipe, StoreCatalogue, serve
from penjing.store.store import Store
from serve.doubles import fresh
serve(StoreCatalogue(Store(Path(sys.argv[1]))), ServeRecipe(port=0, grace_s=float(sys.argv[2])), open_with=fresh,
      on_start=lambda server: print(server.url, flush=True))
"""

ON_ITS_WAY_S = 0.04  # less than the engine takes: what was sent earlier had been accepted


def start(tmp_path, *, grace_s, **engine):
    store = Store(tmp_path)
    publish(store, engine=json.dumps({"instances": 2} | engine).encode())
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(grace_s)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": tests},
    )
    url = process.stdout.readline().strip()
    while httpx.get(f"{url}/readyz").status_code != 200:
        time.sleep(0.01)
    return process, url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_accepted_is_lost(tmp_path, number):
    process, url = start(tmp_path, delay_s=0.05, grace_s=10)
    told, told_at = threading.Event(), []
    before: list[int] = []
    after: list[int | str] = []

    def load():
        with httpx.Client(timeout=20) as client:
            while True:
                began = time.monotonic()
                try:
                    status = client.post(f"{url}/v1/models/m:predict", json={"instances": [{"input_ids": [7]}]})
                except httpx.TransportError as error:
                    (after if told.is_set() else before).append(type(error).__name__)
                    return
                # A request that was still on its way when the signal came may be told to go elsewhere.
                on_its_way = told.is_set() and began > told_at[0] - ON_ITS_WAY_S
                (after if on_its_way else before).append(status.status_code)

    clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    until = time.monotonic() + 20
    while len(before) <= CLIENTS and time.monotonic() < until:
        time.sleep(0.05)
    told_at.append(time.monotonic())
    told.set()
    process.send_signal(number)
    for client in clients:
        client.join(20)
    assert process.wait(15) == 0
    process.stdout.close()
    assert len(before) > CLIENTS
    assert set(before) == {200}
    assert 503 in after  # late-comers were told


def test_a_second_signal_cuts_the_wait_short(tmp_path):
    process, url = start(tmp_path, slow_s=4, grace_s=60)
    asking = threading.Thread(
        target=lambda: httpx.post(f"{url}/v1/models/m:predict", json={"instances": [{"input_ids": [SLOW]}]}, timeout=20)
    )
    asking.daemon = True
    asking.start()
    time.sleep(0.3)
    began = time.monotonic()
    process.terminate()
    time.sleep(0.2)
    process.terminate()
    process.wait(30)
    process.stdout.close()
    asking.join(20)
    assert time.monotonic() - began < 15
