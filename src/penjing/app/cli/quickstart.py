"""``penjing quickstart``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, free_port, print_json, version_facts

if TYPE_CHECKING:
    from penjing.app.quickstart import Quickstarted
    from penjing.app.recipes import FinetuneRecipe
    from penjing.store import Bundle
    from penjing.tokens import Text

_HELP = """From pretrained weights to a live, measured endpoint, on real text, in a few minutes on two cores.

Fine-tunes a 22-million-parameter BERT encoder on 20 newsgroups, quantises it to int8, measures both
beside plain Transformers, registers them as versions 1 and 2, serves them and asks for predictions.
With --model and --train it does the same with yours:

```console
penjing quickstart --model ./my-bert --train mine.csv --set name=mine
```
"""
_SHOWN_TEXTS = (
    "The shuttle reached orbit on Monday and NASA says the satellite will be released tomorrow.",
    "My clutch slips in third gear, the dealer wants to replace the whole transmission.",
    "The goalie made thirty saves but the Penguins still lost the game in overtime.",
)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("quickstart", help=_HELP)(_quickstart)


def _quickstart(
    model: Annotated[str | None, typer.Option(help="Checkpoint directory, packaged name or hub name.")] = None,
    train: Annotated[str | None, typer.Option("--train", "--data", help="Your labelled data instead.")] = None,
    test: Annotated[str | None, typer.Option(help="Your test data; by default a fifth is held out.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving in the end, until Ctrl-C.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Train anew even if this recipe's versions are there.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on, or a free one if it is taken.")] = 8501,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.quickstart import quickstart, quickstart_recipe
    from penjing.app.terminal import TerminalProgress, show

    begun, progress = time.monotonic(), TerminalProgress()
    flags = {"model": model, "data.train": train, "data.test": test}
    told = quickstart_recipe(recipe, sets or [], flags)
    progress.say(f"Penjing quickstart: {told.model} on {told.data.train}, store {store}")
    done = quickstart(told, store=store, again=again, progress=progress)
    if not as_json:
        show(*_tables(done))
    answers = _serve_and_ask(done.second, _questions(told), store=store, port=port, say=progress.say)
    seconds = round(time.monotonic() - begun, 1)
    if as_json:
        versions = [version_facts(bundle) for bundle in (done.first, done.second)]
        print_json({"versions": versions, "answers": answers, "seconds": seconds, "fresh": done.fresh})
    else:
        show(*_next_steps(done, store), f"Done in {seconds:.0f} s.")
    if keep:
        _keep_serving(store, _free(port, progress.say))


def _tables(done: Quickstarted) -> list[Any]:
    from penjing.app.terminal import percent, quality_table, speed_table

    first, second = done.reports
    tables: list[Any] = []
    if first.quality:
        tables.append(quality_table(first.quality, title=f"{done.first.reference} (fp32)"))
    if second.comparison:
        changed = second.comparison.result
        cost, same = percent(changed.differences["accuracy"]), percent(changed.agreement)
        tables += [
            speed_table(second.systems, title="Measured in turns in one run; Penjing through its HTTP server"),
            *second.notes,
            f"On all {changed.n:,} test texts int8 changes accuracy by {cost} and agrees with fp32 on {same}.",
        ]
    return tables


def _questions(told: FinetuneRecipe) -> list[Text]:
    """Three texts to ask: ours for the default data, else the first of the user's own."""
    from penjing.data import read_texts
    from penjing.tasks.text_classification import texts_of

    if told.data.train == "20newsgroups":
        return list(_SHOWN_TEXTS)
    own = (one for one in read_texts(told.data.test or told.data.train, told.data) if one.text.strip())
    return texts_of(islice(own, 3))


def _serve_and_ask(
    bundle: Bundle, texts: list[Text], *, store: Path, port: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Start a server, ask in both ways, show what came, stop it cleanly."""
    from penjing.app.asking import ask
    from penjing.app.measure import server_process
    from penjing.app.quickstart import article_request

    model, labels = bundle.manifest.model, bundle.manifest.labels
    answers = []
    only = f"versions={{kind: specific, specific: [{bundle.manifest.version}], labelled: false}}"
    with server_process(store, settings=[f'models=["{model}"]', only, f"port={_free(port, say)}"]) as url:
        say(f"\nServing on {url}. Raw text:")
        for text, answer in zip(
            texts, ask(url, f"/v1/models/{model}:predict", _raw(texts))["predictions"], strict=True
        ):
            shown = text if isinstance(text, str) else " | ".join(text)
            say(f"  {answer['label']:<26} {answer['score']:.2f}  {shown[:70]}")
            answers.append({"text": text, "label": answer["label"], "score": answer["score"]})
        body = article_request(bundle, texts[0])
        say(f"Token ids, as a TensorFlow Serving client sends them:\n  POST /v1/models/{model}:predict")
        say(f"  {body[:76].decode()} …")
        (logits,) = ask(url, f"/v1/models/{model}:predict", body)["predictions"]
        best = max(range(len(logits)), key=logits.__getitem__)
        say(f'  {{"predictions": [[{", ".join(f"{logit:.2f}" for logit in logits[:6])}, …]]}}  → {labels[best]}')
    say("Server stopped.")
    return answers


def _raw(texts: list[Text]) -> bytes:
    instances = [text if isinstance(text, str) else {"text": text[0], "text_pair": text[1]} for text in texts]
    return json.dumps({"instances": instances}, ensure_ascii=False).encode()


def _free(port: int, say: Callable[[str], None]) -> int:
    chosen = free_port(port)
    if chosen != port:
        say(f"Port {port} is taken; serving on a free one.")
    return chosen


def _next_steps(done: Quickstarted, store: Path) -> list[str]:
    name, at = done.second.manifest.model, "" if store == DEFAULT_STORE else f" --store {store}"
    return [
        f"\nReports: {done.first.path / 'report.html'}\n         {done.second.path / 'report.html'}",
        "\nNext:",
        f"  penjing serve{at}                                # keep it live on port 8501",
        f'  penjing predict {name} "your text"{at}         # answers without a server',
        f"  penjing finetune --name mine --train your.csv{at}  # the same with your data",
    ]


def _keep_serving(store: Path, port: int) -> None:
    from penjing.serve import Server, ServeRecipe, StoreCatalogue, Workers, serve
    from penjing.store import Store

    def announce(server: Server | Workers) -> None:
        typer.echo(f"Serving {store} on {server.url} (Ctrl-C stops)", err=True)

    serve(StoreCatalogue(Store(store)), ServeRecipe(port=port), on_start=announce)
