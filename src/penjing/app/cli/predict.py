"""``penjing predict``."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, MODEL, RECIPE, SETS, STORE, print_json

if TYPE_CHECKING:
    from penjing.app.generate import Generated
    from penjing.core.nouns import Task
    from penjing.tasks.answering import Answer
    from penjing.tasks.translation import Translated
    from penjing.tokens import Text

_HELP = """Answer texts without a server, in their order: label and probability (or every label that holds, or the
number), or the entities, or the answer, or the vector, and the text.

```console
penjing predict newsgroups "my clutch slips in third gear"
penjing predict newsgroups --data texts.csv --set text=body --output answers.parquet
cat lines.txt | penjing predict newsgroups --json
penjing predict reader "Who wrote it?" --context book.txt
```

With --json it is one JSON object a text, with --output a row of a file; answering --data into a file, killed
halfway and called again, goes on where it was. A recipe here is the data section of a fine-tuning
recipe (column names, encoding, delimiter …).
"""
_SHOWN_CHARACTERS = 60
_SHOWN_CANDIDATES = 3
_SHOWN_NUMBERS = 4


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("predict", help=_HELP)(_predict)


def _predict(
    model: MODEL,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; without any, lines of standard input.")] = None,
    data: Annotated[str | None, typer.Option(help="File or folder of texts, read as in finetune.")] = None,
    context: Annotated[
        Path | None, typer.Option(help="File with what the texts are questions about, for question answering.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write here: .csv, .parquet, or else JSON lines.")] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Every label's, or the next answers; with --json or --output.")
    ] = False,
    sampling: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="How text is generated, repeated: max_tokens, temperature, top_p, top_k, repetition_penalty, stop, "
            "seed, chat.",
        ),
    ] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.app.answer_file import write_answers
    from penjing.app.answer_rows import row_of
    from penjing.app.generate import SamplingRecipe
    from penjing.app.predict import predict
    from penjing.app.predict_file import predict_file, texts_of
    from penjing.app.terminal import TerminalProgress
    from penjing.core.errors import UsageError
    from penjing.core.recipe import resolve_recipe
    from penjing.data import DataRecipe
    from penjing.store import Store, parse_reference

    _refuse_mixed(texts, data, context, told=bool(recipe or sets))
    if probabilities and not (as_json or output):
        raise UsageError("--probabilities has no place in lines for people", expected="--json or --output FILE too")
    manifest = Store(store).bundle(*parse_reference(model)).manifest
    how = resolve_recipe(SamplingRecipe, None, sampling, flags={}) if sampling else None
    columns = resolve_recipe(DataRecipe, recipe, sets or (), flags={"train": data}) if data else None
    if data and columns and output:
        told: dict[str, Any] = {"columns": columns, "probabilities": probabilities, "sampling": how}
        predict_file(model, data, output, store=store, progress=TerminalProgress(), **told)
        return
    task, labels = manifest.task, manifest.labels if probabilities else ()
    source = texts_of(data, columns, task=task) if data and columns else _about(texts, context, task=task)
    answer = partial(predict, model, store=store, sampling=how)
    if output is not None:
        rows = (row_of(one, labels) for one in answer(source))
        write_answers(output, lambda done: islice(rows, done, None), identity=None)
    elif as_json:
        for one in answer(source):
            print_json(row_of(one, labels))
    else:
        _show(answer, source)


def _refuse_mixed(texts: list[str] | None, data: str | None, context: Path | None, *, told: bool) -> None:
    from penjing.core.errors import UsageError

    for given, what in ((texts, "texts"), (context, "--context")):
        if given and data:
            raise UsageError(f"both {what} and --data were given", expected="one of them")
    if told and not data:
        raise UsageError("--recipe and --set say how to read --data, and there is no --data", expected="--data SOURCE")


def _show(
    answer: Callable[[Iterable[Text]], Iterator[Answer | Translated | Generated]], source: Iterator[Text]
) -> None:
    asked: deque[Text] = deque()  # read ahead of the answers
    for one in answer(_remembered(source, asked)):
        sys.stdout.write(f"{_said(one)}  {_shown(asked.popleft())}\n")


def _said(answer: Answer | Translated | Generated) -> str:
    from penjing.app.generate import Generated
    from penjing.tasks.fill_mask import Filled
    from penjing.tasks.multi_label import LabelsPrediction
    from penjing.tasks.question_answering import Answered
    from penjing.tasks.regression import NumberPrediction
    from penjing.tasks.text_classification import Prediction
    from penjing.tasks.translation import Translated

    if isinstance(answer, Translated | Generated):
        return " ".join(answer.text.split())
    if isinstance(answer, Prediction):
        return f"{answer.label}  {answer.score:.2f}"
    if isinstance(answer, LabelsPrediction):
        return (
            ", ".join(f"{label}  {share:.2f}" for label, share in zip(answer.labels, answer.scores, strict=True)) or "-"
        )
    if isinstance(answer, NumberPrediction):
        return f"{answer.score:.4g}"
    if isinstance(answer, list):
        return ", ".join(f"{one.label}: {one.text}" for one in answer) or "-"
    if isinstance(answer, Filled):
        best = (own[:_SHOWN_CANDIDATES] for own in answer.masks)
        return " | ".join(", ".join(f"{one.token_str.strip()} {one.score:.2f}" for one in own) for own in best)
    if isinstance(answer, Answered):
        return f"{' '.join(answer.answer.split()) or '-'}  {answer.score:.2f}"
    return f"[{' '.join(f'{number:+.3f}' for number in answer[:_SHOWN_NUMBERS])} … {len(answer)} numbers]"


def _remembered(texts: Iterable[Text], asked: deque[Text]) -> Iterator[Text]:
    for text in texts:
        asked.append(text)
        yield text


def _shown(text: Text) -> str:
    line = " ".join((text if isinstance(text, str) else " | ".join(text)).split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"


def _about(texts: list[str] | None, context: Path | None, *, task: Task) -> Iterator[Text]:
    """Texts, or lines of standard input; for question answering each with what it is about."""
    from penjing.core.errors import UsageError
    from penjing.core.nouns import Task
    from penjing.data.readers.decode import whole_text
    from penjing.data.readers.options import ReadOptions

    asked = iter(texts) if texts else lines_of(sys.stdin.buffer)
    if task is not Task.QUESTION_ANSWERING:
        if context is not None:
            raise UsageError(f"--context was given, and the model is for {task.value}", expected="question-answering")
        return asked
    if context is None:
        raise UsageError(
            "the questions are about nothing",
            expected="--context FILE, or --data with columns question and context",
        )
    about = whole_text(context, ReadOptions())
    return ((question, about) for question in asked)


def lines_of(stream: Iterable[bytes]) -> Iterator[str]:
    """Lines of standard input, decoded.

    Raises:
        DataError: one is not UTF-8.
    """
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
