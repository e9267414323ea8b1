"""Kill a fine-tuning with SIGKILL again and again, start it again each time, and compare what comes out.

One run is left alone; another, of the same recipe, is killed ``--kills`` times, in turns at a random instant from
without and just before a random file operation of its own (a state half written, written and not yet named, an old one
half removed). Both must end with the same weights, byte for byte. Each life is a fork of a process that has loaded
everything, so that a hundred of them take minutes. The model and its texts are made here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import penjing
import penjing.app.training
from app.world import UNMEASURED, make_world
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT
from penjing.core.recipe import resolve_recipe
from penjing.models.checkpoint import find_checkpoint
from penjing.models.loading import load_model
from result import SystemResult, finish

INSTANT, OPERATION = "at a random instant", "before a random file operation"
FILE_OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


class Life(NamedTuple):
    """One life of the killed run: how it was to end, the step of the state it began and left with, how it ended."""

    kind: str
    drawn: float
    began: int
    left: int
    status: int


def live(recipe: penjing.FinetuneRecipe, store: Path, operation: int | None) -> None:
    """Train to the end, or until the file operation of this number among those on states."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in FILE_OPERATIONS and ".runs" in str(arguments[0]):
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    if operation is not None:
        sys.addaudithook(hook)
    penjing.finetune(recipe, store=store, progress=SILENT)


def killed(recipe: penjing.FinetuneRecipe, store: Path, kind: str, drawn: float) -> Life:
    """A life with such an end, in a fork."""
    began, process = saved(store), os.fork()
    if process == 0:
        try:
            live(recipe, store, int(drawn) if kind == OPERATION else None)
        except BaseException as error:  # noqa: BLE001  (whatever it is, the fork must not go on as its parent)
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if kind == INSTANT:
        time.sleep(drawn)
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return Life(kind, drawn, began, saved(store), status)


def saved(store: Path) -> int:
    """Steps behind the newest state; 0 without one."""
    return max((int(path.name[5:]) for path in (store / ".runs").glob("*/step-*")), default=0)


def digest_of(store: Path) -> str:
    """Of the weights of the one version there is."""
    (weights,) = store.glob("killed/*/checkpoint/model.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def killed_run(recipe: penjing.FinetuneRecipe, store: Path, told: argparse.Namespace) -> list[Life]:
    """Kill and start again; the run must not end before it has been killed so often."""
    moments, lives = random.Random(told.seed), []
    while len(lives) < told.kills:
        kind = (INSTANT, OPERATION)[len(lives) % 2]
        drawn = moments.uniform(0.1, told.life) if kind == INSTANT else moments.randint(1, told.operations)
        lives.append(killed(recipe, store, kind, drawn))
        one = lives[-1]
        print(f"life {len(lives):>3}: killed {kind} ({drawn:.4g}); state {one.began} → {one.left}", flush=True)
        if one.status != -signal.SIGKILL:
            raise SystemExit(f"ended with {one.status} after {len(lives) - 1} kills; try more --epochs")
    return lives


def main() -> int:
    """Exit status 1 if the weights differ."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--epochs", type=float, default=200)
    options.add_argument("--life", type=float, default=4.0, help="seconds until a kill from without, at most")
    options.add_argument("--operations", type=int, default=200, help="file operations until one from within, at most")
    options.add_argument("--seed", type=int, default=42)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        world = make_world(Path(scratch) / "world")
        load_model(find_checkpoint(str(world.checkpoint)))  # so that the forks need load no library
        sets = (*UNMEASURED, f"training.epochs={told.epochs}", "training.dropout=0.1", "training.save_every_s=0")
        flags = {"name": "killed", "model": str(world.checkpoint), "data.train": str(world.train)}
        recipe = resolve_recipe(penjing.FinetuneRecipe, None, sets, flags=flags)
        stores = Path(scratch) / "alone", Path(scratch) / "killed"
        begun = time.monotonic()
        done = killed(recipe, stores[0], OPERATION, 0)
        print(f"left alone: status {done.status}, {time.monotonic() - begun:.0f} s", flush=True)
        lives = killed_run(recipe, stores[1], told)
        ended = killed(recipe, stores[1], OPERATION, 0)
        alone, again = map(digest_of, stores)
    same = alone == again and ended.status == 0
    print(f"{len(lives)} kills; weights of the run left alone {alone[:16]}, of the killed one {again[:16]}")
    write(told, lives, same=same, digests=(alone, again))
    return int(not same)


def write(told: argparse.Namespace, lives: list[Life], *, same: bool, digests: tuple[str, str]) -> None:
    """The log, summed up by how the lives ended."""
    systems = []
    for kind in (INSTANT, OPERATION):
        own = [one for one in lives if one.kind == kind]
        counts = {
            "kills": len(own), "resumed": sum(one.began > 0 for one in own),
            "went_on": sum(one.left > one.began for one in own),
        }  # fmt: skip
        quality = {name: Measurement(value=value, n=len(own)) for name, value in counts.items()}
        systems.append(SystemResult(name=kind, ours=True, quality=quality))
    finish(
        "training",
        f"A fine-tuning killed {len(lives)} times and started again each time",
        config={"table": "kills", "same": same, "weights": digests, "seed": told.seed, "epochs": told.epochs,
                "last_state": max(one.left for one in lives), "lives": [list(one) for one in lives]},
        systems=systems,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
