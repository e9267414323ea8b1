"""The same weights behind other people's servers and behind ours, in turns.

Each peer has a virtual environment of its own below ``--environments``, made on first use. While one server is asked,
the others are stopped by a signal, so that none of them takes the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.origin import prepare_for
from penjing.app.terminal import TerminalProgress
from penjing.core.nouns import Measurement
from penjing.store import Bundle, Store, parse_reference
from result import SystemResult, finish

HERE = Path(__file__).parent
PACKAGES = {
    "fastapi": ("fastapi", "uvicorn", "httptools", "uvloop", "transformers", "torch"),
    "litserve": ("litserve", "onnxruntime", "tokenizers"),
}
OPENER = urllib.request.build_opener()


@dataclass
class Peer:
    """A server under test.

    Attributes:
        name: in the table.
        command: starts it.
        url: where to ask.
        body: of a text.
        label: number of the label in a reply.
    """

    name: str
    command: list[str]
    url: str
    body: Any
    label: Any
    ours: bool = False
    process: subprocess.Popen[bytes] | None = None
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def signal(self, number: int) -> None:
        """To the whole group: some servers are several processes."""
        if self.process:
            os.killpg(self.process.pid, number)

    def ask(self, text: str) -> int:
        """Its answer to a text."""
        request = urllib.request.Request(  # noqa: S310
            self.url, json.dumps(self.body(text)).encode(), {"content-type": "application/json"}
        )
        with OPENER.open(request, timeout=60) as reply:
            return int(self.label(json.load(reply)))

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(self.command, start_new_session=True, stdout=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.ask("rain in the north")
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise RuntimeError(f"{self.name} does not answer")


def main() -> None:
    """Measure and write the result."""
    told = _options().parse_args()
    store = Store(told.store)
    fp32, int8 = (store.bundle(*parse_reference(name)) for name in (told.fp32, told.int8))
    labels, limit = fp32.manifest.labels, fp32.manifest.text.max_tokens
    examples = prepare_for(fp32, TerminalProgress()).test.split.examples
    rng = random.Random(0)
    chosen = rng.sample(range(len(examples)), told.texts)
    texts = [_of_mixed_length(examples[row].text, rng) for row in chosen]
    peers = _peers(told, fp32, labels=labels, limit=limit)
    right = [labels.index(examples[row].label) for row in chosen]
    try:
        answers = {}
        for peer in peers:
            peer.start()
            answers[peer.name] = [peer.ask(text) for text in texts]
            peer.signal(signal.SIGSTOP)
        for number in range(told.rounds):
            for peer in peers[number % 2 :] + peers[: number % 2]:
                _turn(peer, texts, told)
    finally:
        for peer in peers:
            if peer.process:
                peer.signal(signal.SIGKILL)
                peer.process.wait()
    _finish(peers, answers, right, told, int8=int8)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", type=Path, default=Path("store"))
    options.add_argument("--fp32", default="newsgroups/1")
    options.add_argument("--int8", default="newsgroups/2")
    options.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "penjing-peers")
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--clients", type=int, default=16)
    options.add_argument("--rate", type=float, default=40.0, help="requests a second in the open loop")
    options.add_argument("--texts", type=int, default=400)
    return options


def _of_mixed_length(text: str, rng: random.Random) -> str:
    """The first words of a text, as many as callers are likely to send: mostly few, sometimes many."""
    return " ".join(text.split()[: max(3, round(rng.lognormvariate(2.8, 0.7)))])


def _peers(told: argparse.Namespace, fp32: Bundle, *, labels: Sequence[str], limit: int) -> list[Peer]:
    checkpoint, onnx = fp32.path / "checkpoint", told.environments / "model.int8.onnx"
    _write_padded_int8(checkpoint, onnx)
    ports = [_free_port() for _ in range(4)]
    fast = [_python(told, "fastapi"), HERE / "peers" / "fastapi_app.py", checkpoint, ports[0], limit]
    lit = [_python(told, "litserve"), HERE / "peers" / "litserve_app.py", onnx, checkpoint / "tokenizer.json", ports[1]]
    ours = [
        _ours(told, reference, precision=precision, port=port, labels=labels)
        for precision, reference, port in (("fp32", told.fp32, ports[2]), ("int8", told.int8, ports[3]))
    ]
    return [
        Peer(
            "FastAPI + Transformers pipeline, fp32",
            [str(part) for part in fast],
            f"http://127.0.0.1:{ports[0]}/predict",
            lambda text: {"text": text},
            lambda reply: labels.index(reply["label"]),
        ),
        Peer(
            "LitServe + ONNX Runtime, int8",
            [str(part) for part in (*lit, limit)],
            f"http://127.0.0.1:{ports[1]}/predict",
            lambda text: {"text": text},
            lambda reply: reply["label"],
        ),
        *ours,
    ]


def _ours(told: argparse.Namespace, reference: str, *, precision: str, port: int, labels: Sequence[str]) -> Peer:
    model, version = parse_reference(reference)
    settings = (f"port={port}", f"models=[{model}]", "versions.kind=specific", f"versions.specific=[{version}]")
    command = [sys.executable, "-m", "penjing.serve", str(told.store)]
    return Peer(
        f"Penjing {precision}",
        [*command, *(part for setting in (*settings, "versions.labelled=false") for part in ("--set", setting))],
        f"http://127.0.0.1:{port}/v1/models/{model}:predict",
        lambda text: {"instances": [text]},
        lambda reply: labels.index(reply["predictions"][0]["label"]),
        ours=True,
    )


def _turn(peer: Peer, texts: Sequence[str], told: argparse.Namespace) -> None:
    """Ask one server, while the others stand still: some seconds to wake up, a closed loop, an open loop."""
    peer.signal(signal.SIGCONT)
    bodies = [peer.body(text) for text in texts]
    _load(peer, bodies, seconds=1.0, clients=told.clients)
    closed = _load(peer, bodies, seconds=told.seconds, clients=told.clients)
    peer.runs.setdefault("closed", []).append(closed)
    peer.runs.setdefault("open", []).append(_load(peer, bodies, seconds=told.seconds, rate=told.rate))
    peer.signal(signal.SIGSTOP)


def _load(peer: Peer, bodies: Sequence[Any], **how: float) -> dict[str, float]:
    told = json.dumps({"url": peer.url, "bodies": bodies} | how) + "\n"
    done = subprocess.run([sys.executable, HERE / "load.py"], input=told.encode(), capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def _python(told: argparse.Namespace, name: str) -> Path:
    folder = told.environments / name
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *PACKAGES[name]], check=True)
    return folder / "bin" / "python"


def _write_padded_int8(checkpoint: Path, target: Path) -> None:
    """The graph that others serve: padded batches in, ONNX Runtime's dynamic int8."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModelForSequenceClassification

    target.parent.mkdir(parents=True, exist_ok=True)
    model, plain = (
        AutoModelForSequenceClassification.from_pretrained(checkpoint).eval(),
        target.with_suffix(".fp32.onnx"),
    )
    model.config.return_dict = False
    names = ["input_ids", "attention_mask"]
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    torch.onnx.export(
        model, (), str(plain), kwargs=example, dynamo=False, opset_version=18, input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}},
    )  # fmt: skip
    quantize_dynamic(plain, target, weight_type=QuantType.QInt8, per_channel=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _figure(values: Sequence[float]) -> Measurement:
    """The middle round, and the span of them all: there are too few for an interval."""
    ordered = sorted(values)
    return Measurement(value=ordered[len(ordered) // 2], low=ordered[0], high=ordered[-1], n=len(ordered))


def _finish(
    peers: Sequence[Peer], answers: dict[str, list[int]], right: list[int], told: argparse.Namespace, *, int8: Bundle
) -> None:
    first = answers[peers[0].name]
    rows, best = [], [run["requests_per_s"] for run in peers[0].runs["closed"]]
    for peer in peers:
        closed, opened = peer.runs["closed"], peer.runs["open"]
        given, rates = answers[peer.name], [run["requests_per_s"] for run in closed]
        quality = {
            "accuracy": Measurement(value=_share(given, right), n=len(right)),
            "agreement": Measurement(value=_share(given, first), n=len(right)),
        }
        speed = {
            "requests_per_s": _figure(rates),
            "p50_ms": _figure([run["p50"] for run in opened]),
            "p99_ms": _figure([run["p99"] for run in opened]),
        }
        ratio = None if peer is peers[0] else _figure([one / other for one, other in zip(rates, best, strict=True)])
        rows.append(SystemResult(name=peer.name, ours=peer.ours, quality=quality, speed=speed, ratio=ratio))
    finish(
        "serving",
        "MiniLM-L6 fine-tuned on 20 newsgroups, the first 3 to 64 tokens of each text, one text a request:",
        config={key: str(value) for key, value in vars(told).items() if key not in ("store", "environments")},
        systems=rows,
        notes=_notes(peers, told, int8),
    )


def _notes(peers: Sequence[Peer], told: argparse.Namespace, int8: Bundle) -> tuple[str, ...]:
    failed = {peer.name: sum(run["failed"] for runs in peer.runs.values() for run in runs) for peer in peers}
    lost = ", ".join(f"{name} {int(count)}" for name, count in failed.items() if count) or "none"
    engine = int8.manifest.engine.name if int8.manifest.engine else ""
    how = (
        f"{told.rounds} rounds in turns. requests/s: closed loop, {told.clients} clients. p50 and p99: open loop at "
        f"{told.rate:.0f} requests/s, counted from when a request was due. Brackets are the least and the most of the "
        f"rounds. The client shares the cores. Requests without an answer: {lost}."
    )
    what = (
        f"Penjing int8 is what penjing quantize made ({engine}). Texts are cut to lengths that callers are likely to "
        f"send, so that accuracy is lower than on whole texts; it is of {told.texts} texts."
    )
    return how, what


def _share(given: Sequence[int], wanted: Sequence[int]) -> float:
    return sum(one == other for one, other in zip(given, wanted, strict=True)) / len(wanted)


if __name__ == "__main__":
    main()
