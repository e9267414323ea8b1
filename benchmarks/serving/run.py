"""The same weights in plain Transformers and behind our server, in fp32 and int8, in turns."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from penjing.app.measure import System, measure, served, trial_server, trial_texts
from penjing.app.origin import prepare_for
from penjing.app.quantize import answers_of
from penjing.app.recipes import MeasureRecipe
from penjing.app.tasks import flow_of
from penjing.app.terminal import TerminalProgress
from penjing.app.transformers_peer import BATCH, TransformersPeer
from penjing.store import Bundle, Store, parse_reference
from result import SystemResult, finish


def main() -> None:
    """Measure and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", type=Path, default=Path("store"))
    options.add_argument("--fp32", default="newsgroups/1")
    options.add_argument("--int8", default="newsgroups/2")
    options.add_argument("--rounds", type=int, default=12)
    options.add_argument("--requests", type=int, default=64)
    told = options.parse_args()
    warnings.simplefilter("ignore")
    store, progress = Store(told.store), TerminalProgress()
    bundles = [store.bundle(*parse_reference(name)) for name in (told.fp32, told.int8)]
    data = prepare_for(bundles[0], progress)
    limit = bundles[0].manifest.text.max_tokens
    peer = TransformersPeer(bundles[0].path / "checkpoint", max_tokens=limit)
    recipe = MeasureRecipe(rounds=told.rounds, requests=told.requests)
    texts, tokens = trial_texts(data.test, flow_of(bundles[0].manifest.task))
    with trial_server([(bundle.path, bundle.manifest.draft()) for bundle in bundles], model="trial") as url:
        systems = [peer.system, *_served(url, bundles, clients=recipe.clients)]
        speeds = measure(systems, texts, tokens, recipe=recipe, progress=progress)
    same, asked = peer.agreement(data.test, answers_of(bundles[0], data.test, progress))
    accuracy = [peer.accuracy(data.test), *(bundle.manifest.metrics["accuracy"] for bundle in bundles)]
    rows = [
        SystemResult(
            name=speed.name,
            ours=index > 0,
            settings=_settings(index, bundles),
            quality={"accuracy": right},
            speed={key: figure for key, figure in speed.summary().items() if key != "p95_ms"},
            ratio=speed.ratio_to(speeds[0]) if index else None,
        )
        for index, (speed, right) in enumerate(zip(speeds, accuracy, strict=True))
    ]
    finish(
        "serving",
        f"MiniLM-L6 fine-tuned on 20 newsgroups, texts cut at {limit} tokens, one text a request:",
        config=recipe.model_dump(mode="json") | {"padding": limit, "transformers_batch": BATCH},
        systems=rows,
        notes=(
            (
                f"{told.rounds} rounds in turns; {told.requests} single texts one by one (p50, p99), then the same "
                f"from {recipe.clients} connections (Transformers: in batches of {BATCH}, in process, without HTTP). "
                "The clients share the two cores with the server."
            ),
            (
                f"Transformers' accuracy is of the {asked} texts it was asked here, of which it answers {same} as "
                "Penjing fp32 does; the others' is of the whole test split."
            ),
        ),
    )


def _served(url: str, bundles: list[Bundle], *, clients: int) -> list[System]:
    names = ["Penjing fp32", "Penjing int8"]
    paths = [f"/v1/models/trial/versions/{version}:predict" for version in range(1, len(bundles) + 1)]
    return [served(name, url, path, clients=clients) for name, path in zip(names, paths, strict=True)]


def _settings(index: int, bundles: list[Bundle]) -> dict[str, str]:
    if index == 0:
        return {"padding": "max_length", "threads": "all cores"}
    engine = bundles[index - 1].manifest.engine
    return {"engine": f"{engine.name} {engine.precision}", "instances": "one a core, one thread each"} if engine else {}


if __name__ == "__main__":
    main()
