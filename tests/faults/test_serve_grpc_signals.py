"""SIGTERM under gRPC load: what was accepted is answered; what comes after is told to go elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from contract.grpc_client import PREDICT, Client, predict, tensor
from penjing.store.store import Store
from serve.doubles import publish

CLIENTS, ON_ITS_WAY_S = 6, 0.04
ONE = predict(inputs={"input_ids": tensor([[2, 7, 3]])})
SCRIPT = """
import sys
from pathlib import Path
from penjing.serve import ServeRecipe, StoreCatalogue, serve
from penjing.store.store import Store
from serve.doubles import fresh
serve(StoreCatalogue(Store(Path(sys.argv[1]))), ServeRecipe(port=0, grpc_port=0, grace_s=10), open_with=fresh,
      on_start=lambda server: print(server.grpc_address, flush=True))
"""


def test_nothing_accepted_is_lost(tmp_path):
    publish(Store(tmp_path), engine=json.dumps({"instances": 2, "delay_s": 0.05}).encode())
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    address = process.stdout.readline().strip()
    told_at, before, after = [], [], []

    def load():
        client = Client(address)
        while True:
            began = time.monotonic()
            code = client.future(PREDICT, ONE, wait_for_ready=not before).code().name
            late = told_at and began > told_at[0] - ON_ITS_WAY_S
            (after if late else before).append(code)
            if late and code != "OK":
                break
        client.channel.close()

    until = time.monotonic() + 20
    probe = Client(address)
    while probe.future(PREDICT, ONE, wait_for_ready=True).code().name != "OK":
        assert time.monotonic() < until
    probe.channel.close()
    clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    while len(before) <= 2 * CLIENTS and time.monotonic() < until:
        time.sleep(0.02)
    told_at.append(time.monotonic())
    process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(20)
    assert process.wait(15) == 0
    process.stdout.close()
    assert set(before) == {"OK"}
    assert set(after) <= {"OK", "UNAVAILABLE"}
    assert "UNAVAILABLE" in after
