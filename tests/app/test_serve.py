"""``penjing serve``: what it says to a program that started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import httpx


def test_a_program_learns_the_address_and_may_stop_it(made):
    command = [sys.executable, "-m", "penjing", "serve", "--port", "0", "--json", "--store", str(made.store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = json.loads(process.stdout.readline())
            assert said["store"] == str(made.store)
            until = time.monotonic() + 60
            while httpx.get(f"{said['url']}/readyz").status_code != 200:
                assert time.monotonic() < until
                time.sleep(0.1)
            reply = httpx.post(f"{said['url']}/v1/models/topics:predict", json={"instances": ["球员进球"]})
            assert reply.json()["predictions"][0]["label"] == "体育"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
