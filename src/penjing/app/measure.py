"""Speed through the server, with the texts of the data and every system taking turns.

Promise: all systems answer the same texts in the same rounds, one after another, so that a noisy
minute hurts all alike; ratios are taken round by round. The server runs in a process of its own;
the client shares its cores, as it would not in production: the ratios are therefore cautious.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from penjing.app.asking import ask
from penjing.app.prepared import Part
from penjing.app.recipes import MeasureRecipe
from penjing.app.tasks import TaskFlow
from penjing.core.errors import NotReadyError
from penjing.core.nouns import Measurement
from penjing.core.progress import Progress
from penjing.evaluate import Round, ratio_over_rounds, summarise_latencies, summarise_rounds
from penjing.store import ManifestDraft, Store
from penjing.tokens import Text

READY_WITHIN_S = 120.0
_STAGE = "Measuring through the server"


@dataclass(frozen=True, slots=True)
class System:
    """Something that answers texts.

    Attributes:
        name: as the table shows it.
        ask_one: answers one text.
        ask_all: answers all texts as fast as it can.
        close: frees what it holds.
    """

    name: str
    ask_one: Callable[[Text], object]
    ask_all: Callable[[Sequence[Text]], object]
    close: Callable[[], object] = lambda: None


@dataclass(slots=True)
class Speed:
    """What was measured of one system, round by round."""

    name: str
    latencies_ms: list[float] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    def summary(self) -> dict[str, Measurement]:
        """p50_ms, p95_ms, p99_ms, requests_per_s, tokens_per_s."""
        return summarise_latencies(self.latencies_ms) | summarise_rounds(self.rounds)

    def ratio_to(self, other: Speed) -> Measurement:
        """Throughput over the other's."""
        return ratio_over_rounds(self._rates(), other._rates())

    def _rates(self) -> list[float]:
        return [one.requests / one.seconds for one in self.rounds]


def measure(
    systems: Sequence[System],
    texts: Sequence[Text],
    tokens: Sequence[int],
    *,
    recipe: MeasureRecipe,
    progress: Progress,
) -> list[Speed]:
    """Let every system answer the same texts, in turns, and close them.

    Args:
        systems: at least one; the order alternates from round to round.
        texts: at least ``recipe.requests``; each round takes the next ones.
        tokens: of each text, for tokens/s.
        recipe: how many rounds, requests and clients.
        progress: where to show it.
    """
    speeds = [Speed(system.name) for system in systems]
    with ExitStack() as closing, progress.stage(_STAGE, total=recipe.rounds * len(systems)) as stage:
        for system in systems:
            closing.callback(system.close)
            system.ask_one(texts[0])  # warm every path once
            system.ask_all(texts[: recipe.clients])
        for turn in range(recipe.rounds):
            chosen = [(turn * recipe.requests + at) % len(texts) for at in range(recipe.requests)]
            some, count = [texts[index] for index in chosen], sum(tokens[index] for index in chosen)
            pairs = list(zip(systems, speeds, strict=True))
            for system, speed in pairs if turn % 2 == 0 else reversed(pairs):
                speed.latencies_ms.extend(_timed_ms(system.ask_one, text) for text in some)
                seconds = _timed_ms(system.ask_all, some) / 1000
                speed.rounds.append(Round(requests=len(some), tokens=count, seconds=seconds))
                stage.advance(1)
    return speeds


def _timed_ms(call: Callable[..., object], argument: object) -> float:
    started = time.perf_counter()
    call(argument)
    return (time.perf_counter() - started) * 1000


def served(name: str, url: str, path: str, *, clients: int) -> System:
    """A model version behind a running server, asked for raw text."""
    host = url.removeprefix("http://")
    connections = [http.client.HTTPConnection(host, timeout=60) for _ in range(clients)]

    def ask_over(connection: http.client.HTTPConnection, text: Text) -> None:
        instance = text if isinstance(text, str) else {"text": text[0], "text_pair": text[1]}
        connection.request("POST", path, json.dumps({"instances": [instance]}), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise NotReadyError(f"{path} answered {reply.status}: {body[:200]!r}")

    def ask_share(index: int, texts: Sequence[Text]) -> None:
        for text in texts[index::clients]:
            ask_over(connections[index], text)

    def ask_all(texts: Sequence[Text]) -> None:
        run_concurrently([partial(ask_share, index, texts) for index in range(clients)])

    def close() -> None:
        for connection in connections:
            connection.close()

    return System(name, lambda text: ask_over(connections[0], text), ask_all, close)


def run_concurrently(jobs: Sequence[Callable[[], object]]) -> None:
    """Run all jobs in threads; the first error, if any, is raised here."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  (handed to the caller below)
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def trial_texts(part: Part, flow: TaskFlow, *, most: int = 2000) -> tuple[list[Text], list[int]]:
    """Texts drawn at random from a split, always the same ones, and their token counts."""
    chosen = np.random.default_rng(0).permutation(part.split.rows)[:most].tolist()
    examples = part.split.examples
    sent = [part.trial[row] for row in chosen] if part.trial else flow.texts([examples[row] for row in chosen])
    return sent, [part.tokens_of(row) for row in chosen]


@contextmanager
def server_process(store: Path, *, settings: Sequence[str] = ()) -> Iterator[str]:
    """A server in its own process; yields its URL once every model is ready, and stops it in the end.

    It ends with this process too, however that ends.

    Raises:
        NotReadyError: it ended or was not ready in time; its last words are in the message.
    """
    command = [sys.executable, "-m", "penjing.app.tied_server", str(store)]
    command += [part for setting in ("port=0", *settings) for part in ("--set", setting)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            yield _wait_until_ready(process, errors)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], errors: object) -> str:
    line = process.stdout.readline() if process.stdout else b""
    until = time.monotonic() + READY_WITHIN_S
    if line:
        url = str(json.loads(line)["url"])
        while time.monotonic() < until and process.poll() is None:
            if _is_ready(url):
                return url
            time.sleep(0.05)
    process.kill()
    errors.seek(0)  # type: ignore[attr-defined]
    said = errors.read().decode(errors="replace")[-800:]  # type: ignore[attr-defined]
    raise NotReadyError(f"the server did not get ready: {said or 'it said nothing'}")


def _wait_until_available(url: str, path: str) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        (status,) = ask(url, path)["model_version_status"]
        if status["state"] == "AVAILABLE":
            return
        if status["state"] == "END":
            raise NotReadyError(f"{path} cannot be served: {status['status']['error_message']}")
        time.sleep(0.05)
    raise NotReadyError(f"{path} was not available within {READY_WITHIN_S:.0f} s")


def _is_ready(url: str) -> bool:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def trial_server(candidates: Sequence[tuple[Path, ManifestDraft]], *, model: str) -> Iterator[str]:
    """A server over versions that are not published yet; yields its URL.

    They live in a throw-away store as versions 1, 2, … of ``model``, with only what serving needs.
    """
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch) / "trial")
        for directory, draft in candidates:
            with store.stage(model) as staging:
                _copy_for_serving(directory, staging.path, draft)
                staging.publish(draft)
        with server_process(store.root, settings=["versions.kind=all"]) as url:
            for version in store.versions(model):
                _wait_until_available(url, f"/v1/models/{model}/versions/{version}")
            yield url


def _copy_for_serving(source: Path, target: Path, draft: ManifestDraft) -> None:
    shutil.copytree(source / "engine", target / "engine")
    tokenizer = target / draft.text.tokenizer
    tokenizer.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / draft.text.tokenizer, tokenizer)
