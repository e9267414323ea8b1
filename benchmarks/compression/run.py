"""What compression costs in accuracy and gains in throughput and size, beside two ways of running the teacher itself.

    python benchmarks/compression/run.py make STORE VERSION WORK      climbs the ladder; goes on where it was
    python benchmarks/compression/run.py measure STORE VERSION WORK   times all of it in turns, writes the result

``WORK`` keeps the rungs. Every system is handed texts and gives labels, its tokenizer's work included, on one thread:
the peers a text at a time, as a plain script would, ours in packed rows, as the server does under load.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from compression.peers import onnxruntime_int8, transformers_padded
from penjing.app.comparing import answers_of
from penjing.app.ladder import climb, rungs_of
from penjing.app.origin import prepare_for
from penjing.app.prepared import PreparedData
from penjing.app.smaller_recipes import CompressCommand
from penjing.app.terminal import TerminalProgress
from penjing.core.nouns import Measurement
from penjing.core.progress import SILENT
from penjing.core.recipe import resolve_recipe
from penjing.engines.bulk import packed_batches
from penjing.evaluate import PairedComparison
from penjing.evaluate.intervals import share
from penjing.evaluate.speed import ratio_over_rounds
from penjing.serve.opening import open_files
from penjing.store import Bundle, Store, parse_reference
from penjing.tasks.text_classification import texts_of
from penjing.tokens import TextEncoder
from result import SystemResult, finish

Answer = Callable[[Sequence[str]], np.ndarray]
PADDED, INT8 = "Transformers fp32, padded to 128", "ONNX Runtime int8, without padding"


def main() -> None:
    """Make the rungs, or measure them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("step", choices=("make", "measure"))
    options.add_argument("store", type=Path)
    options.add_argument("version")
    options.add_argument("work", type=Path)
    options.add_argument("--set", action="append", default=[], help="a key of penjing compress, such as layers=[2,1]")
    options.add_argument("--title", help="of the table; the version by default")
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--texts", type=int, default=512, help="test texts a round; the peers get the first of them")
    options.add_argument("--peer-texts", type=int, default=48)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    parent = Store(told.store).bundle(*parse_reference(told.version))
    workshop = told.work / f"{parent.manifest.model}-{parent.manifest.version}"
    flags = {"model": parent.reference, "max_drop": 0.03, "min_speedup": 1}
    command = resolve_recipe(CompressCommand, None, told.set, flags=flags)
    data = prepare_for(parent, TerminalProgress())
    if told.step == "make":
        held = workshop / parent.manifest.model / str(parent.manifest.version)
        if not held.exists():
            shutil.copytree(parent.path, held)
        climb(rungs_of(command, parent, data, workshop=workshop, progress=TerminalProgress()), workshop, SILENT)
        return
    rungs = rungs_of(command, parent, data, workshop=workshop, progress=SILENT)
    home = Store(workshop)
    made = {one.told: home.bundle(one.model, one.version) for one in rungs if one.model in home.models()}
    _measure(told, parent, made, data)


def _measure(told: argparse.Namespace, parent: Bundle, made: dict[str, Bundle], data: PreparedData) -> None:
    texts = [str(one) for one in texts_of(data.test.split.examples)]
    peers: dict[str, Answer] = {
        PADDED: transformers_padded(parent.path / "checkpoint"),
        INT8: onnxruntime_int8(parent, told.work / f"{parent.manifest.model}-int8.onnx", data.test.sequences[:16]),
    }
    ours = {"the teacher": parent} | made
    answers = {name: _through(bundle) for name, bundle in ours.items()}
    rates = _in_turns(peers | answers, texts, told)
    labels = {name: answers_of(one, prepare_for(one, SILENT).test, SILENT) for name, one in ours.items()}
    labels[PADDED], labels[INT8] = labels["the teacher"], peers[INT8](texts)
    sizes = {name: bundle.manifest.engine_bytes for name, bundle in ours.items()}
    sizes |= {PADDED: _bytes(parent.path / "checkpoint"), INT8: _bytes(told.work, "*.onnx")}
    finish(
        "compression",
        told.title or told.version,
        config={
            "table": "front",
            "version": told.version,
            "rounds": told.rounds,
            "texts": told.texts,
            "peer_texts": told.peer_texts,
            "threads": 1,
            "set": told.set,
        },
        systems=[
            _row(name, bundle=ours.get(name), labels=labels, rates=rates, data=data, megabytes=sizes[name] / 1e6)
            for name in rates
        ],
    )


def _through(bundle: Bundle) -> Answer:
    """Texts to labels through a version's engine, one thread."""
    encoder = TextEncoder(bundle.file(bundle.manifest.text.tokenizer), max_tokens=bundle.manifest.text.max_tokens)
    engine = open_files(bundle.path, bundle.manifest, instances=1)

    def answer(texts: Sequence[str]) -> np.ndarray:
        found = np.zeros(len(texts), np.int64)
        for batch in packed_batches(encoder.encode(list(texts))):
            found[batch.order] = engine.run(batch).argmax(axis=1)
        return found

    return answer


def _in_turns(systems: dict[str, Answer], texts: Sequence[str], told: argparse.Namespace) -> dict[str, list[float]]:
    """System → texts a second, a figure a round; the first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(told.rounds + 1):
        chosen = np.random.default_rng(turn).permutation(len(texts))[: told.texts]
        asked = [texts[row] for row in chosen]
        for name in list(systems) if turn % 2 else reversed(list(systems)):
            some = asked[: told.peer_texts] if name in (PADDED, INT8) else asked
            begun = time.perf_counter()
            systems[name](some)
            if turn:
                rates[name].append(len(some) / (time.perf_counter() - begun))
    return rates


def _row(
    name: str,
    *,
    bundle: Bundle | None,
    labels: dict[str, np.ndarray],
    rates: dict[str, list[float]],
    data: PreparedData,
    megabytes: float,
) -> SystemResult:
    right, teacher = np.asarray(data.test.targets), labels["the teacher"]
    paired = PairedComparison(data.outputs)
    paired.add_predictions(teacher, labels[name], targets=right)
    found = paired.result()
    kept = found.candidate_accuracy.value / found.baseline_accuracy.value
    return SystemResult(
        name=name,
        ours=bundle is not None,
        settings={} if bundle is None else {one.source: one.share.value for one in bundle.manifest.stages},
        quality={
            "accuracy": found.candidate_accuracy,
            "difference": found.accuracy_difference,
            "kept": Measurement(value=kept, n=found.n),
            "agreement": share(int((labels[name] == teacher).sum()), len(right)),
        },
        speed={
            "texts_per_s": Measurement(value=float(np.median(rates[name])), n=len(rates[name])),
            "over_int8": ratio_over_rounds(rates[name], rates[INT8]),
            "served_mb": Measurement(value=megabytes, n=1),
        },
        ratio=None if name == PADDED else ratio_over_rounds(rates[name], rates[PADDED]),
    )


def _bytes(folder: Path, pattern: str = "*.safetensors") -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern))


if __name__ == "__main__":
    main()
