"""The same fine-tuned encoder in every engine and precision we could serve it with, in turns.

Every engine gets the same packed rows, an instance a core and a thread each. The torch row is what
one gets without an engine: Transformers on batches of texts of like length, padded to the longest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.origin import prepare_for
from penjing.app.prepared import Part
from penjing.app.terminal import TerminalProgress
from penjing.compress.quantize import make_int8
from penjing.core.machine import usable_cores
from penjing.core.nouns import Measurement
from penjing.engines import Engine, EngineName, open_engine
from penjing.engines.base import Precision
from penjing.engines.bulk import bulk_outputs
from penjing.evaluate.intervals import quantile, share
from penjing.evaluate.speed import ratio_over_rounds
from penjing.models.checkpoint import inspect_checkpoint
from penjing.models.loading import load_model
from penjing.store import Bundle, Store, parse_reference
from penjing.tokens import Encoding
from result import SystemResult, finish

BATCH = 32
Answer = Callable[[Sequence[Encoding]], np.ndarray]


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", type=Path, default=Path("store"))
    options.add_argument("--fp32", default="newsgroups/1")
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--texts", type=int, default=768, help="test texts a round")
    told = options.parse_args()
    warnings.simplefilter("ignore")
    bundle = Store(told.store).bundle(*parse_reference(told.fp32))
    data = prepare_for(bundle, TerminalProgress())
    with tempfile.TemporaryDirectory() as scratch:
        systems: dict[str, Answer] = {"Transformers fp32": _transformers(bundle)}
        engines = _engines(bundle, data.train.sequences[:256], Path(scratch))
        systems |= {name: _through(engine, len(data.outputs)) for name, engine in engines.items()}
        labels = {name: answer(data.test.sequences) for name, answer in systems.items()}  # the warm-up too
        times = _in_turns(systems, data.test.sequences, rounds=told.rounds, texts=told.texts)
    finish(
        "engines",
        f"MiniLM-L6 fine-tuned on 20 newsgroups, texts cut at {bundle.manifest.text.max_tokens} tokens, in bulk:",
        config={"rounds": told.rounds, "texts": told.texts, "instances": usable_cores(), "threads": 1},
        systems=[_row(name, times, labels, data.test) for name in systems],
        notes=(
            (
                f"{told.rounds} rounds in turns of {told.texts} test texts; Transformers in batches of {BATCH} of like "
                "length on all cores, the engines on packed rows of 512 tokens a call."
            ),
        ),
    )


def _engines(bundle: Bundle, calibration: Sequence[Encoding], scratch: Path) -> dict[str, Engine]:
    assert bundle.manifest.engine is not None
    onnx = bundle.file(bundle.manifest.engine.file)
    files: list[tuple[EngineName, Path, Precision]] = [
        ("onnxruntime", onnx, "fp32"),
        ("openvino", onnx, "fp32"),
        ("openvino", onnx, "bf16"),
        ("onnxruntime", make_int8("onnxruntime", onnx, target=scratch / "o", calibration=calibration), "int8"),
        ("openvino", make_int8("openvino", onnx, target=scratch / "v", calibration=calibration), "int8"),
    ]
    return {
        f"{name} {precision}": open_engine(name, file, instances=usable_cores(), precision=precision)
        for name, file, precision in files
    }


def _through(engine: Engine, labels: int) -> Answer:
    def answer(sequences: Sequence[Encoding]) -> np.ndarray:
        logits = np.zeros((len(sequences), labels), np.float32)
        for rows, outputs in bulk_outputs(engine, sequences):
            logits[rows] = outputs
        return logits.argmax(axis=1)

    return answer


def _transformers(bundle: Bundle) -> Answer:
    import torch

    torch.set_num_threads(usable_cores())
    model = load_model(inspect_checkpoint(bundle.path / "checkpoint")).eval()

    def answer(sequences: Sequence[Encoding]) -> np.ndarray:
        labels = np.zeros(len(sequences), np.int64)
        by_length = np.argsort([len(sequence) for sequence in sequences], kind="stable")
        for rows in np.split(by_length, range(BATCH, len(by_length), BATCH)):
            width = max(len(sequences[row]) for row in rows)
            ids = torch.zeros(len(rows), width, dtype=torch.int64)
            mask = torch.zeros(len(rows), width, dtype=torch.int64)
            for at, row in enumerate(rows):
                length = len(sequences[row])
                ids[at, :length] = torch.from_numpy(np.asarray(sequences[row].ids, np.int64))
                mask[at, :length] = 1
            with torch.inference_mode():
                labels[rows] = model(input_ids=ids, attention_mask=mask).logits.argmax(dim=-1).numpy()
        return labels

    return answer


def _in_turns(
    systems: dict[str, Answer], sequences: Sequence[Encoding], *, rounds: int, texts: int
) -> dict[str, list[float]]:
    """System → real tokens a second, a figure a round; all systems get the same texts in a round."""
    rates: dict[str, list[float]] = {name: [] for name in systems}
    names = list(systems)
    for turn in range(rounds):
        chosen = np.random.default_rng(turn).permutation(len(sequences))[:texts]
        asked = [sequences[row] for row in chosen]
        tokens = sum(len(sequence) for sequence in asked)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            systems[name](asked)
            rates[name].append(tokens / (time.perf_counter() - begun))
    return rates


def _row(name: str, rates: dict[str, list[float]], labels: dict[str, np.ndarray], test: Part) -> SystemResult:
    first = next(iter(rates))
    n = len(test.sequences)
    quality: dict[str, Measurement] = {
        "accuracy": share(int((labels[name] == test.targets).sum()), n),
        "agreement": share(int((labels[name] == labels[first]).sum()), n),
    }
    speed = {"tokens_per_s": quantile(np.array(rates[name]), 0.5, unit="tokens/s")}
    return SystemResult(
        name=name,
        ours=name != first,
        quality=quality,
        speed=speed,
        ratio=None if name == first else ratio_over_rounds(rates[name], rates[first]),
    )


if __name__ == "__main__":
    main()
