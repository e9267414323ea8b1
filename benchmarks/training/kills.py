"""Kill a fine-tuning with SIGKILL again and again, start it again each time, and compare what comes out.

One run is left alone; another, of the same recipe, is killed ``--kills`` times at random moments, wherever it then is:
loading, training, writing a state, exporting. Both must end with the same weights, byte for byte. The log says at
which step each life took over.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESUMED = re.compile(r"Resuming at step (\d+) of (\d+)")


def command(told: argparse.Namespace, store: Path) -> list[str]:
    """The fine-tuning, saved every half second."""
    settings = {
        "data.train": told.train, "data.columns": '["text", "label"]', "data.quotes": "none", "measure": "null",
        "data.limit_train_rows": 1000, "data.limit_eval_rows": 100, "training.epochs": told.epochs,
        "training.save_every_s": 0.5, "training.batch_size": 16, "text.max_tokens": 64,
    }  # fmt: skip
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [
        sys.executable, "-m", "penjing", "finetune", "--store", str(store), "--name", "killed",
        "--model", str(told.model), *given,
    ]  # fmt: skip


def digest_of(store: Path) -> str:
    """Of the weights of the one version there is."""
    (weights,) = store.glob("killed/*/checkpoint/model.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def killed_run(told: argparse.Namespace, store: Path) -> list[str]:
    """Start, kill, and start again; a line a life."""
    moments, lines = random.Random(told.seed), []
    for life in range(1, told.kills + 2):
        begun = time.monotonic()
        process = subprocess.Popen(command(told, store), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output, _ = process.communicate(timeout=moments.uniform(*told.lives) if life <= told.kills else None)
            ending = f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            ending = "killed"
        found = RESUMED.search(output)
        resumed = f"took over at step {found[1]} of {found[2]}" if found else "began anew"
        lines.append(f"life {life:>3}: {resumed}; {ending} after {time.monotonic() - begun:.1f} s")
        print(lines[-1], flush=True)
        if ending != "killed":
            break
    return lines


def main() -> int:
    """Exit status 1 if the weights differ."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("train", help="sst2/train.tsv, or rows of text and label like it")
    options.add_argument("model", help="a pretrained checkpoint")
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--epochs", type=float, default=20)
    options.add_argument(
        "--lives", type=float, nargs=2, default=(4.0, 14.0), help="seconds until a kill, at least and at most"
    )
    options.add_argument("--seed", type=int, default=42)
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stores = Path(scratch) / "alone", Path(scratch) / "killed"
        subprocess.run(command(told, stores[0]), check=True, stdout=subprocess.DEVNULL)
        lines = killed_run(told, stores[1])
        alone, killed = map(digest_of, stores)
    kills = sum(line.split("; ")[1].startswith("killed") for line in lines)
    print(f"{kills} kills; weights of the run left alone {alone[:16]}, of the killed one {killed[:16]}")
    return int(alone != killed)


if __name__ == "__main__":
    sys.exit(main())
