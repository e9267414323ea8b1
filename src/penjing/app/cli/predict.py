"""``penjing predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from penjing.app.cli.options import DEFAULT_STORE, MODEL, STORE

_HELP = """Answer texts without a server: one JSON line a text, in their order.

```console
penjing predict newsgroups "my clutch slips in third gear"
penjing predict newsgroups --data texts.csv --output answers.jsonl
cat lines.txt | penjing predict newsgroups
```
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("predict", help=_HELP)(_predict)


def _predict(
    model: MODEL,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; without any, lines of standard input.")] = None,
    data: Annotated[str | None, typer.Option(help="File or folder of texts, read as in finetune.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write JSON lines here instead of standard output.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Give every label's probability.")] = False,
    store: STORE = DEFAULT_STORE,
) -> None:
    from penjing.app.predict import predict
    from penjing.store import Store, parse_reference

    labels = Store(store).bundle(*parse_reference(model)).manifest.labels
    answers = predict(model, _source(texts, data), store=store)
    lines = (
        {"label": one.label, "score": round(one.score, 6)}
        | (
            {"probabilities": dict(zip(labels, one.probabilities.round(6).tolist(), strict=True))}
            if probabilities
            else {}
        )
        for one in answers
    )
    if output is None:
        for line in lines:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    _write(output, lines)


def _source(texts: list[str] | None, data: str | None) -> Iterator[str | tuple[str, str]]:
    from penjing.core.errors import UsageError
    from penjing.data import read_texts
    from penjing.tasks.text_classification import texts_of

    if texts and data:
        raise UsageError("both texts and --data were given", expected="one of them")
    if data:
        return (text for example in read_texts(data) for text in texts_of([example]))
    return iter(texts) if texts else _lines(sys.stdin.buffer)


def _lines(stream: Iterable[bytes]) -> Iterator[str]:
    from penjing.core.errors import DataError

    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number} of standard input is not UTF-8 at its byte {error.start}",
                expected="UTF-8 text",
                do="Convert it first, such as with iconv, or give a file: --data.",
            ) from error


def _write(path: Path, lines: Iterator[dict[str, object]]) -> None:
    """Write beside, then rename: the file is whole or not there."""
    from penjing.core.files import write_atomically

    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_atomically(path, content.encode())
