"""Ask a server with every client that is installed, and report."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from penjing.app.asking import ask
from penjing.app.conformance.checks import Client, Outcome, Report, Target
from penjing.app.conformance.clients import CLIENTS
from penjing.core.errors import UsageError
from penjing.core.progress import SILENT, Progress

_SECONDS = 900.0  # for all checks of a client


def conformance(
    url: str,
    *,
    grpc: str | None = None,
    model: str | None = None,
    clients: Sequence[str] = (),
    ids: Sequence[int] = (2, 7, 3),
    text: str = "The shuttle reached orbit.",
    progress: Progress = SILENT,
) -> Report:
    """Ask a running server through clients of its protocols.

    Args:
        url: of its HTTP.
        grpc: host:port of its gRPC; None leaves out the clients that need it.
        model: which one; None takes the only one there is.
        clients: names of those to use; all by default.
        ids: token ids that the model takes.
        text: a text that the model takes.
        progress: where to show it.

    Raises:
        UsageError: no such client, or which model is not clear.
        ResourceError: nobody answers at ``url``.
    """
    chosen = [client for client in CLIENTS if not clients or client.name in clients]
    if unknown := set(clients) - {client.name for client in CLIENTS}:
        raise UsageError(
            f"no client is called {sorted(unknown)[0]!r}", expected=", ".join(client.name for client in CLIENTS)
        )
    target = _target(url.rstrip("/"), grpc, model, ids=tuple(ids), text=text)
    outcomes: list[Outcome] = []
    with progress.stage("Asking", total=len(chosen)) as stage:
        for client in chosen:
            outcomes += _outcomes(client, target)
            stage.advance()
    return Report(target.url, target.model, tuple(outcomes))


def _target(url: str, grpc: str | None, model: str | None, *, ids: tuple[int, ...], text: str) -> Target:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address of a server", expected="http://host:port")
    name = model or _only_model(url)
    told = ask(url, f"/v2/models/{quote(name, safe='')}")
    return Target(url, grpc, name, ids, text, _tensors(told["inputs"]), _tensors(told["outputs"]))


def _only_model(url: str) -> str:
    served = [row["name"] for row in ask(url, "/v2/repository/index", b"{}") if row.get("state", "READY") == "READY"]
    names = sorted(set(served))
    if len(names) != 1:
        raise UsageError(f"{url} serves {', '.join(names) or 'no model'}", expected="--model with one of them")
    return str(names[0])


def _tensors(listed: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {tensor["name"]: tensor["datatype"] for tensor in listed}


def _outcomes(client: Client, target: Target) -> Iterator[Outcome]:
    version = _version(client)
    missing = [module for module in client.modules if not _is_there(module)]
    if missing:
        reason = f"{missing[0]} is not installed: pip install 'penjing[conformance]'"
        yield Outcome(client.name, "", "all", "not run", reason)
        return
    if client.grpc and target.grpc is None:
        yield Outcome(client.name, version, "all", "not run", "no address of the server's gRPC was given: --grpc")
        return
    for check, state, reason in _asked(client, target):
        yield Outcome(client.name, version, check, state, reason)


def _asked(client: Client, target: Target) -> list[Any]:
    """Check, state and reason of each, from a process of the client's own."""
    command = [sys.executable, "-m", "penjing.app.conformance.worker", client.name]
    sent = json.dumps(dataclasses.asdict(target))
    try:
        done = subprocess.run(command, input=sent, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [("all", "failed", f"no end after {_SECONDS:.0f} s")]
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"the client ended with status {done.returncode}"]
        return [("all", "failed", told[-1])]
    return list(json.loads(done.stdout))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False


def _version(client: Client) -> str:
    try:
        return importlib.metadata.version(client.distribution) if client.distribution else ""
    except importlib.metadata.PackageNotFoundError:
        return ""
