"""What the gateway adds, and what its policy takes off the tail; nginx before the same backends.

python benchmarks/fleet/run.py [--nginx /usr/sbin/nginx] [--seconds 20] [--rounds 3] [--skip added|skewed]
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.core.nouns import Measurement
from result import SystemResult, finish

HERE = Path(__file__).parent
LOAD = HERE.parent / "serving" / "load.py"
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_buffer_size 256k;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream backends {{ {method} {servers} keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
NGINX_METHODS = {
    "nginx, round robin": "",
    "nginx, least_conn": "least_conn;",
    "nginx, random two least_conn": "random two least_conn;",
}
OPENER = urllib.request.build_opener()


@contextmanager
def backends(*, base_ms: float, ms_per_byte: float, speeds: Sequence[float], at_once: int) -> Iterator[list[str]]:
    """Their URLs."""
    told = {"base_ms": base_ms, "ms_per_byte": ms_per_byte, "speeds": speeds, "at_once": at_once}
    command = [sys.executable, str(HERE / "backend.py"), json.dumps(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ports = json.loads(process.stdout.readline())
        try:
            yield [f"http://127.0.0.1:{port}" for port in ports]
        finally:
            process.kill()


@contextmanager
def gateway(urls: Sequence[str], policy: str) -> Iterator[str]:
    """The URL of one in front of some backends."""
    command = [sys.executable, "-m", "penjing", "gateway", "--port", "0", "--json", "--policy", policy]
    for url in urls:
        command += ["--remote", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield waited_for(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()


@contextmanager
def nginx(binary: str, urls: Sequence[str], method: str) -> Iterator[str]:
    """The same with nginx."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        servers = " ".join(f"server {url.removeprefix('http://')};" for url in urls)
        text = NGINX.format(folder=folder, method=NGINX_METHODS[method], servers=servers, port=port)
        Path(folder, "conf").write_text(text)
        command = [binary, "-c", f"{folder}/conf", "-p", folder, "-e", f"{folder}/errors"]
        with subprocess.Popen(command) as process:
            try:
                yield waited_for(f"http://127.0.0.1:{port}")
            finally:
                process.terminate()


def waited_for(url: str) -> str:
    """The URL, once somebody answers there."""
    for _ in range(200):
        try:
            OPENER.open(f"{url}/readyz", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return url
    raise SystemExit(f"{url} does not answer")


def load(url: str, bodies: Sequence[str], **told: float) -> dict[str, float]:
    """Ask from a process of its own."""
    line = json.dumps({"url": f"{url}/v1/models/m:predict", "bodies": bodies, **told})
    return json.loads(
        subprocess.run([sys.executable, str(LOAD)], input=line, capture_output=True, text=True, check=True).stdout
    )


def fronts(stack: ExitStack, urls: list[str], told: argparse.Namespace, policies: Sequence[str]) -> dict[str, str]:
    """Name → URL of every gateway, and of every nginx if there is one."""
    found = {}
    for method in NGINX_METHODS if told.nginx else ():
        found[method] = stack.enter_context(nginx(told.nginx, urls, method))
    for policy in policies:
        found[f"penjing gateway, {policy}"] = stack.enter_context(gateway(urls, policy))
    return found


def measured(runs: list[dict[str, float]], key: str) -> Measurement:
    """The median of the rounds."""
    return Measurement(value=median(run[key] for run in runs), n=len(runs))


def in_turns(
    urls: dict[str, str], bodies: Sequence[str], rounds: int, **told: float
) -> dict[str, list[dict[str, Any]]]:
    """Each one a while, round after round; the first is not counted."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in urls}
    for number in range(rounds + 1):
        for name, url in urls.items():
            run = load(url, bodies, **told | ({"seconds": min(5.0, told["seconds"])} if not number else {}))
            print(number, name, run, flush=True)
            if number:
                runs[name].append(run)
    return runs


def added(told: argparse.Namespace) -> None:
    """One backend of 5 ms, asked directly and through each."""
    with ExitStack() as stack:
        urls = stack.enter_context(backends(base_ms=5, ms_per_byte=0, speeds=[1], at_once=1024))
        shown = {"directly": urls[0], **fronts(stack, urls, told, ["least-work"])}
        shown = {name: url for name, url in shown.items() if name not in list(NGINX_METHODS)[1:]}
        alone = in_turns(shown, ["weather"], told.rounds, clients=1, seconds=told.seconds)
        many = in_turns(shown, ["weather"], told.rounds, clients=16, seconds=told.seconds)
    systems = []
    for name in shown:
        ratios = [
            one["requests_per_s"] / two["requests_per_s"] for one, two in zip(many[name], many["directly"], strict=True)
        ]
        over = [one["p50"] - two["p50"] for one, two in zip(alone[name], alone["directly"], strict=True)]
        speed = {
            "p50_ms": measured(alone[name], "p50"),
            "added_ms": Measurement(value=median(over), n=len(over)),
            "p99_ms": measured(alone[name], "p99"),
            "requests_per_s": measured(many[name], "requests_per_s"),
        }
        ratio = None if name == "directly" else Measurement(value=median(ratios), n=len(ratios))
        systems.append(SystemResult(name=name, ours="penjing" in name, speed=speed, ratio=ratio))
    finish(
        "fleet",
        "A backend that takes 5 ms, asked directly and through each",
        config={"seconds": told.seconds, "rounds": told.rounds, "clients": [1, 16]},
        systems=systems,
        notes=(
            "p50, what is added to it, and p99: one client. Requests/s, and their ratio to those had directly: 16.",
            "Medians of the rounds, in turns; client, proxy and backend share the two cores.",
        ),
    )


def skewed(told: argparse.Namespace) -> None:
    """Backends that do one request at a time, as long as it is; four fifths of what they can do is asked."""
    rng = random.Random(1)
    bodies = ["w" * min(40_000, round(rng.lognormvariate(5, 1.5))) for _ in range(1000)]
    mean = sum(len(body) + 2 for body in bodies) / len(bodies)  # with the quotes of JSON
    base_ms, mean_ms, speeds = 5.0, 40.0, told.speeds
    ms_per_byte = (mean_ms - base_ms) / mean
    rate = 0.8 * sum(speeds) * 1000 / mean_ms
    with ExitStack() as stack:
        urls = stack.enter_context(backends(base_ms=base_ms, ms_per_byte=ms_per_byte, speeds=speeds, at_once=1))
        shown = fronts(stack, urls, told, ["round-robin", "least-request", "least-work"])
        runs = in_turns(shown, bodies, told.rounds, rate=rate, seconds=told.seconds)
    first = next(iter(shown))
    systems = []
    for name in shown:
        speed = {f"p{share}_ms": measured(runs[name], f"p{share}") for share in (50, 99)}
        ratios = [one["p99"] / two["p99"] for one, two in zip(runs[first], runs[name], strict=True)]
        ratio = None if name == first else Measurement(value=median(ratios), n=len(ratios))
        settings = {"failed": sum(run["failed"] for run in runs[name])}
        systems.append(SystemResult(name=name, ours="penjing" in name, settings=settings, speed=speed, ratio=ratio))
    finish(
        "fleet",
        f"{len(speeds)} backends of speeds {', '.join(f'{one:g}' for one in speeds)}, lognormal lengths, at 80 % load",
        config={"seconds": told.seconds, "rounds": told.rounds, "speeds": speeds, "rate": rate, "mean_ms": mean_ms},
        systems=systems,
        notes=("The ratio is the first system's p99 over each one's, by rounds: how many times lower it is.",),
    )


def main() -> None:
    """Both, unless one is skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nginx", help="the program; without, it is left out")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speeds", type=json.loads, default=[1, 1, 1, 1], help="of the backends, as JSON")
    parser.add_argument("--skip", choices=("added", "skewed"))
    told = parser.parse_args()
    if told.skip != "added":
        added(told)
    if told.skip != "skewed":
        skewed(told)


if __name__ == "__main__":
    main()
