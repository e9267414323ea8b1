"""What pruning costs in accuracy and gains in size and speed: weights, heads, and heads and neurons for a target.

    python benchmarks/pruning/run.py make STORE VERSION      prunes, and teaches each again; goes on where it was
    python benchmarks/pruning/run.py measure STORE VERSION   times all of them in turns, writes the result

Every pruned version is judged twice on the whole test split: as it was cut, and after the whole version has taught it
for some epochs. All engines get the same packed rows of test texts, on one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.comparing import answers_of
from penjing.app.distill import distill
from penjing.app.origin import prepare_for
from penjing.app.prune import prune
from penjing.app.smaller_recipes import DistillCommand, PruneCommand
from penjing.app.terminal import TerminalProgress
from penjing.core.errors import PenjingError
from penjing.core.nouns import Measurement
from penjing.core.recipe import check_recipe
from penjing.engines import Engine, open_engine
from penjing.engines.bulk import packed_batches
from penjing.evaluate.intervals import share
from penjing.evaluate.speed import ratio_over_rounds
from penjing.store import Bundle, Store, parse_reference
from penjing.tokens import Encoding
from result import SystemResult, finish

CUTS: dict[str, dict[str, object]] = {
    "half of the weights": {"weights": {"share": 0.5}},
    "70 % of the weights": {"weights": {"share": 0.7}},
    "70 % by Taylor": {"weights": {"share": 0.7, "by": "taylor"}},
    "90 % of the weights": {"weights": {"share": 0.9}},
    "half of the heads": {"heads": 0.5},
    "1.5 times as fast": {"target": {"speedup": 1.5}},
    "2 times as fast": {"target": {"speedup": 2}},
    "3 times as fast": {"target": {"speedup": 3}},
}
GRADUAL = {
    f"90 % little by little, by {by}": {"share": 0.9, "by": by, "begin": 0.05, "end": 0.6}
    for by in ("magnitude", "movement")
}


def main() -> None:
    """Make the versions, or measure them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("step", choices=("make", "measure"))
    options.add_argument("store", type=Path)
    options.add_argument("version")
    options.add_argument("--epochs", type=float, default=1.0, help="of teaching; 0 leaves it out")
    options.add_argument("--rate", type=float, default=1e-4)
    options.add_argument("--only", nargs="*", help="beginnings of names")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--texts", type=int, default=256, help="test texts a round")
    told = options.parse_args()
    warnings.simplefilter("ignore")
    if told.step == "make":
        _make(told)
    else:
        _measure(told)


def _slug(version: str, cut: str) -> str:
    kept = "".join(sign if sign.isalnum() else "-" for sign in f"{parse_reference(version)[0]}-{cut}".lower())
    return "-".join(part for part in kept.split("-") if part)


def _make(told: argparse.Namespace) -> None:
    home = Store(told.store)
    for cut, keys in {**CUTS, **GRADUAL}.items():
        if told.only and not any(cut.startswith(one) for one in told.only):
            continue
        try:
            if cut in CUTS and _slug(told.version, cut) not in home.models():
                _cut(told, cut, keys)
            if told.epochs and _slug(told.version, f"{cut} taught") not in home.models():
                _teach(told, cut, keys)
        except PenjingError as error:
            print(f"{cut}: {error}", file=sys.stderr)


def _cut(told: argparse.Namespace, cut: str, keys: dict[str, object]) -> None:
    if "heads" in keys:
        config = Store(told.store).bundle(*parse_reference(told.version)).path / "checkpoint" / "config.json"
        keys = {"heads": _heads(config) // 2}
    values = {"model": told.version, "name": _slug(told.version, cut), "measure": None, **keys}
    prune(check_recipe(PruneCommand, values, origin=cut), store=told.store, progress=TerminalProgress())


def _heads(config: Path) -> int:
    facts = json.loads(config.read_text())
    return int(facts["num_attention_heads"]) * int(facts["num_hidden_layers"])


def _teach(told: argparse.Namespace, cut: str, keys: dict[str, object]) -> None:
    training: dict[str, object] = {"epochs": told.epochs, "batch_size": 32, "learning_rate": told.rate, "threads": 1}
    values: dict[str, object] = {"teachers": [told.version], "name": _slug(told.version, f"{cut} taught")}
    if cut in CUTS:
        pruned = Store(told.store).bundle(_slug(told.version, cut), 1)
        values["student"] = str(pruned.path / "checkpoint")
    else:
        training["sparsity"] = keys
    values |= {"training": training, "measure": None, "checkpoint": "sparse"}
    distill(check_recipe(DistillCommand, values, origin=cut), store=told.store, progress=TerminalProgress())


def _measure(told: argparse.Namespace) -> None:
    home = Store(told.store)
    whole = home.bundle(*parse_reference(told.version))
    systems = {"whole": whole}
    for cut in (*CUTS, *GRADUAL):
        for name in (cut, f"{cut} taught"):
            slug = _slug(told.version, name)
            if slug in home.models():
                systems[name] = home.bundle(slug, 1)
    data = prepare_for(whole, TerminalProgress())
    labels = {name: answers_of(bundle, data.test, TerminalProgress()) for name, bundle in systems.items()}
    seconds = _in_turns(systems, data.test.sequences[: told.texts], rounds=told.rounds)
    first = parse_reference(told.version)[0]
    finish(
        "pruning",
        f"{first}, cut and taught again for {told.epochs:g} epoch(s), in fp32, in bulk on one thread:",
        config={"version": first, "rounds": told.rounds, "texts": told.texts, "epochs": told.epochs, "rate": told.rate},
        systems=[
            _row(name, bundle, labels, seconds, tokens=sum(map(len, data.test.sequences[: told.texts])))
            for name, bundle in systems.items()
        ],
        notes=(
            (
                f"{told.rounds} rounds in turns of {told.texts} test texts; accuracy and agreement on all "
                f"{len(labels['whole']):,}. *Taught*: distilled from the whole for {told.epochs:g} epoch(s)."
            ),
        ),
    )


def _in_turns(systems: dict[str, Bundle], texts: Sequence[Encoding], *, rounds: int) -> dict[str, list[float]]:
    batches = list(packed_batches(texts))
    engines = {name: _engine(bundle) for name, bundle in systems.items()}
    found: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(rounds + 1):  # the first warms up
        for name in list(engines) if turn % 2 else reversed(list(engines)):
            started = time.perf_counter()
            for batch in batches:
                engines[name].run(batch)
            if turn:
                found[name].append(time.perf_counter() - started)
    return found


def _engine(bundle: Bundle) -> Engine:
    spec = bundle.manifest.engine
    assert spec is not None
    return open_engine(spec.name, bundle.file(spec.file), instances=1)


def _row(
    name: str, bundle: Bundle, labels: dict[str, np.ndarray], seconds: dict[str, list[float]], *, tokens: int
) -> SystemResult:
    same = labels[name] == labels["whole"]
    stored = sum(file.stat().st_size for file in (bundle.path / "checkpoint").glob("*.safetensors"))
    rates = {one: [tokens / each for each in times] for one, times in seconds.items()}
    return SystemResult(
        name=name,
        ours=name != "whole",
        settings={"recipe": bundle.manifest.recipe, "notes": list(bundle.manifest.notes)},
        quality={"accuracy": bundle.manifest.metrics["accuracy"], "agreement": share(int(same.sum()), len(same))},
        speed={
            "tokens_per_s": Measurement(value=float(np.median(rates[name])), n=len(rates[name])),
            "served_mb": Measurement(value=bundle.manifest.engine_bytes / 1e6, n=1),
            "stored_mb": Measurement(value=stored / 1e6, n=1),
        },
        ratio=None if name == "whole" else ratio_over_rounds(rates[name], rates["whole"]),
    )


if __name__ == "__main__":
    main()
