#!/usr/bin/env python3
"""Send a running server what no client should, in every protocol, for some seconds, and say how it took it.

``python scripts/fuzz.py http://127.0.0.1:8501 --grpc 127.0.0.1:8500 --seconds 600 [--pid PID] [--seed 1]``

Requests begin as the examples of the server's own OpenAPI document, and are then spoilt: bytes changed, cut off or
doubled, values of other types, ragged, huge, deep or no numbers at all, bodies that are not as compressed as they
claim, clients that are slow and clients that leave. Prints one line of JSON; the exit status is 1 if there was a fault:
a 5xx that is no refusal with ``Retry-After``, a reply that is no HTTP, none at all, or a server that no longer lives.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import random
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WAIT_S = 40.0
MOST_ELEMENTS = 100_000
OPENER = urllib.request.build_opener()
ODD = (None, True, -1, 0, 1e308, 2**63, "", "\x00", "杭州 \ud83c\udf8b", "a" * 10_000, [], {}, [[]], [None], {"a": {}})
NUMBERS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"00", b"1.", b"0x10")


class Fuzz:
    """A run. Counters are shared by its threads, each of which has random numbers of its own."""

    def __init__(self, url: str, *, grpc_address: str | None, seconds: float) -> None:
        self.parts = urlsplit(url)
        self.until = time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.examples = examples_of(url)
        self.grpc_address = grpc_address

    def client(self, seed: int) -> None:
        """Send until the time is over."""
        rng = random.Random(seed)
        while time.monotonic() < self.until and len(self.faults) < 50:
            method, path, example = rng.choice(self.examples)
            body, headers = spoilt(example, rng)
            self.http(method, path, body, headers=headers, rng=rng)

    def http(self, method: str, path: str, body: bytes, *, headers: list[str], rng: random.Random) -> None:
        """One request on a connection of its own."""
        manner = rng.choices(("whole", "slow", "leaves early", "leaves late"), (20, 1, 1, 1))[0]
        lines = [
            f"{method} {path} HTTP/1.1",
            "host: fuzz",
            f"content-length: {len(body)}",
            "connection: close",
            *headers,
        ]
        raw = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body
        try:
            with socket.create_connection((self.parts.hostname, self.parts.port), timeout=WAIT_S) as wire:
                if manner == "leaves early":
                    wire.sendall(raw[: rng.randrange(len(raw))])
                elif manner == "leaves late":
                    send(wire, raw, is_slow=False, rng=rng)
                else:
                    send(wire, raw, is_slow=manner == "slow", rng=rng)
                    self.judge(wire, f"{method} {path}", body, is_slow=manner == "slow")
        except OSError as error:
            self.fault(f"{method} {path}: {error!r}", body)
        self.counts[manner] += 1

    def judge(self, wire: socket.socket, what: str, body: bytes, *, is_slow: bool) -> None:
        """Read one reply and see whether it may be."""
        answer = read_all(wire)
        if is_slow and not answer:  # it answered before all was sent, and what is sent then wipes the answer out
            self.counts["hung up on while sending"] += 1
            return None
        head = answer.partition(b"\r\n\r\n")[0]
        parts = head.split(b" ", 2)
        if not answer.startswith(b"HTTP/1.1 ") or not parts[1].isdigit():
            return self.fault(f"{what}: no reply but {answer[:60]!r}", body)
        status = int(parts[1])
        self.counts[f"http {status}"] += 1
        is_refusal = status in (500, 503) and b"retry-after:" in head.lower()
        if status >= 500 and not is_refusal and status != 501:
            self.fault(f"{what}: {answer[-200:]!r} with status {status}", body)
        if answer.count(b"HTTP/1.1 ") != 1:
            self.fault(f"{what}: {answer.count(b'HTTP/1.1 ')} replies", body)
        return None

    def rpc(self, seed: int) -> None:
        """The same over gRPC: bytes that are nearly messages."""
        import grpc

        from penjing.serve.grpc.messages import message, service

        rng = random.Random(seed)
        names = (
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
            "inference.GRPCInferenceService",
        )
        methods = [(name, method) for name in names for method in service(name).methods if "Reload" not in method.name]
        model = message("tensorflow.serving.ModelSpec")(name=self.model()).SerializeToString()
        with grpc.insecure_channel(self.grpc_address) as channel:
            while time.monotonic() < self.until and len(self.faults) < 50:
                name, method = rng.choice(methods)
                call = channel.unary_unary(f"/{name}/{method.name}")
                raw = b"\n" + bytes([len(model)]) + model + rng.randbytes(rng.choice((0, 3, 30, 3000)))
                try:
                    call(damaged(raw, rng) if rng.random() < 0.7 else raw, timeout=WAIT_S)
                    self.counts["grpc OK"] += 1
                except grpc.RpcError as error:
                    self.counts[f"grpc {error.code().name}"] += 1
                    if error.code().name in ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"):
                        self.fault(f"{name}/{method.name}: {error.code().name} {error.details()}", raw)

    def model(self) -> str:
        """A name that the server knows."""
        paths = [path for _, path, _ in self.examples if ":predict" in path]
        return paths[0].split("/")[-1].removesuffix(":predict") if paths else "m"

    def fault(self, said: str, body: bytes) -> None:
        """Note what must not be."""
        self.faults.append(f"{said} after {body[:200]!r}")


def examples_of(url: str) -> list[tuple[str, str, Any]]:
    """Method, path and body of every route, from the OpenAPI document."""
    with OPENER.open(f"{url}/openapi.json", timeout=WAIT_S) as reply:
        document = json.load(reply)
    found = []
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if method in ("get", "post"):
                content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
                filled = filled_in(path, route.get("parameters", []))
                found.append((method.upper(), filled, content.get("example", {"instances": ["a"]})))
    return found


def filled_in(path: str, parameters: list[dict[str, Any]]) -> str:
    """A path with examples in place of its parameters."""
    for parameter in parameters:
        example = parameter.get("example", parameter.get("schema", {}).get("enum", ["m"])[0])
        path = path.replace(f"{{{parameter['name']}}}", str(example))
    return path


def spoilt(example: Any, rng: random.Random) -> tuple[bytes, list[str]]:
    """A body that began well, and headers."""
    value = copy.deepcopy(example)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        value = changed(value, rng)
    body = json.dumps(value).encode("utf-8", "surrogatepass")
    kind = rng.randrange(8)
    if kind == 0:
        body = damaged(body, rng)
    elif kind == 1 and body:
        at = rng.randrange(len(body))
        body = body[:at] + rng.choice(NUMBERS) + body[at + 1 :]
    elif kind == 2:
        return gzip.compress(body)[: rng.randrange(1, 60)], ["content-encoding: gzip"]
    elif kind == 3:
        return body, ["inference-header-content-length: " + str(rng.choice((-1, 0, 3, 10**9, "x")))]
    elif kind == 4 and rng.random() < 0.1:
        depth = rng.choice((100, 100_000))
        body = b"[" * depth + b"]" * depth
    return body, ["content-type: application/json"]


def changed(value: Any, rng: random.Random) -> Any:
    """Something in a tree replaced, doubled, removed or made huge."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: part for name, part in value.items() if name != key}
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.05:
            return value * min(rng.choice((10, 1000, 100_000)), MOST_ELEMENTS // len(value) + 1)
        return [*value[:at], changed(value[at], rng), *value[at + rng.randrange(2) :]]
    return rng.choice(ODD)


def damaged(raw: bytes, rng: random.Random) -> bytes:
    """Bytes cut off, changed, doubled or put in."""
    at = rng.randrange(len(raw) + 1)
    return rng.choice(
        (raw[:at], raw[:at] + rng.randbytes(1) + raw[at + 1 :], raw[:at] + raw, raw[at:], rng.randbytes(at))
    )


def send(wire: socket.socket, raw: bytes, *, is_slow: bool, rng: random.Random) -> None:
    """All at once, or in pieces with pauses. A server may answer and hang up before it has read everything."""
    try:
        for at in range(0, len(raw), size := max(1, len(raw) // 5)) if is_slow else ():
            wire.sendall(raw[at : at + size])
            time.sleep(rng.random() / 5)
        if not is_slow:
            wire.sendall(raw)
    except (BrokenPipeError, ConnectionResetError):
        return


def read_all(wire: socket.socket) -> bytes:
    """Until the server hangs up."""
    chunks = []
    try:
        while chunk := wire.recv(1 << 16):
            chunks.append(chunk)
    except ConnectionResetError:
        pass  # it had more of the request to read than it wanted
    return b"".join(chunks)


def memory_mb(pid: int | None) -> float | None:
    """Resident memory of a process."""
    if pid is None:
        return None
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description="See the top of this file.")
    parser.add_argument("url")
    parser.add_argument("--grpc")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    run, before = Fuzz(told.url, grpc_address=told.grpc, seconds=told.seconds), memory_mb(told.pid)
    threads = [threading.Thread(target=run.client, args=(told.seed * 1000 + one,)) for one in range(told.clients)]
    if told.grpc:
        threads.append(threading.Thread(target=run.rpc, args=(told.seed * 1000 + 999,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with OPENER.open(f"{told.url}/healthz", timeout=WAIT_S) as reply:
        is_alive = reply.status == 200
    said = {
        "seconds": told.seconds,
        "seed": told.seed,
        "counts": dict(sorted(run.counts.items())),
        "is_alive": is_alive,
    }
    said |= {"memory_mb": [before, memory_mb(told.pid)], "faults": run.faults}
    sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    return 1 if run.faults or not is_alive else 0


if __name__ == "__main__":
    sys.exit(main())
