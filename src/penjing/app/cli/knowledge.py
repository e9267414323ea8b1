"""``penjing knowledge``: documents in, questions answered out of them with the place."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, print_json

if TYPE_CHECKING:
    from penjing.knowledge import Citation, KnowledgeAnswer, Passage
    from penjing.knowledge.written import Generated

_HELP = """Answer questions out of documents, with the place.

```console
penjing knowledge add handbook.kb handbook/ faq.csv --embedder embedder --reader reader
penjing knowledge ask handbook.kb "How long is the warranty?"
penjing knowledge list handbook.kb
penjing knowledge remove handbook.kb handbook/old.pdf
```

A knowledge base is one file, or a PostgreSQL database with pgvector by its URL. Text, Markdown, HTML, PDF, DOCX, and
CSV or JSON tables of questions and answers go in; a document that is added again and has not changed costs nothing,
one that has takes its own place.
"""
BASE = Annotated[
    str,
    typer.Argument(help="File, postgresql://USER@HOST/DATABASE#NAME, or env:VARIABLE.", show_default=False),
]
EMBEDDER = Annotated[str | None, typer.Option(help="Version that embeds: NAME, NAME/2 or NAME@stable.")]
READER = Annotated[str | None, typer.Option(help="Question-answering version that finds the answer in a passage.")]
RERANKER = Annotated[str | None, typer.Option(help="Version with one label that orders passages by their use.")]
GENERATOR = Annotated[str | None, typer.Option(help="Text-generation version that writes answers in sentences.")]

knowledge = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(knowledge, name="knowledge")


@knowledge.callback()
def _group() -> None:
    """Of no use by itself; its commands do the work."""


@knowledge.command("add")
def _add(
    base: BASE,
    sources: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    embedder: EMBEDDER = None,
    reader: READER = None,
    reranker: RERANKER = None,
    generator: GENERATOR = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Add documents. What is told of models and passages is kept in the base, for the other commands."""
    from penjing.app.knowledge import open_knowledge
    from penjing.app.terminal import TerminalProgress

    told = {"embedder": embedder, "reader": reader, "reranker": reranker, "generator": generator}
    with open_knowledge(base, recipe=recipe, sets=sets or (), store=store, **told) as opened:
        done = opened.add(sources, progress=TerminalProgress())
        documents, passages = opened.base.count()
    for line in done.left_out:
        typer.echo(f"  ! left out: {line}", err=True)
    for line in done.notes:
        typer.echo(f"  ! {line}", err=True)
    if as_json:
        print_json(asdict(done) | {"documents": documents, "all_passages": passages})
        return
    typer.echo(
        f"{base}: {done.added} added, {done.replaced} replaced, {done.unchanged} unchanged, "
        f"{len(done.left_out)} left out; {documents:,} documents in {passages:,} passages"
    )


@knowledge.command("remove")
def _remove(
    base: BASE,
    documents: Annotated[list[str], typer.Argument(help="Ids, as list shows them.", show_default=False)],
    as_json: JSON = False,
) -> None:
    """Remove documents: all that are named, or none if one is not there."""
    from penjing.knowledge.opening import base_at

    base_at(base).remove(documents)
    if as_json:
        print_json({"removed": documents})
    else:
        typer.echo(f"{base}: {len(documents)} removed")


@knowledge.command("list")
def _list(base: BASE, as_json: JSON = False) -> None:
    """All documents; with --json a line each."""
    from penjing.app.terminal import show
    from penjing.knowledge.opening import base_at

    opened = base_at(base)
    opened.must_exist()
    listed = opened.documents()
    if as_json:
        for one in listed:
            print_json(asdict(one))
        return
    show(_table([asdict(one) for one in listed]) if listed else f"{base} holds no documents.")


@knowledge.command("calibrate")
def _calibrate(
    base: BASE,
    data: Annotated[Path, typer.Option(help="Questions with answers, some without: SQuAD's form, JSON lines, CSV.")],
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Fit confidences and threshold to questions whose answers are known. Kept in the base."""
    from penjing.app.knowledge import open_knowledge
    from penjing.app.knowledge_calibration import asked_in, calibrate
    from penjing.app.terminal import TerminalProgress

    with open_knowledge(base, store=store) as opened:
        opened.base.must_exist()
        told = calibrate(opened, asked_in(data), progress=TerminalProgress())
    if as_json:
        print_json(asdict(told))
        return
    refused = "" if told.refused is None else f", refuses {told.refused:.0%} of those without an answer"
    typer.echo(
        f"{base}: fitted to {told.questions} questions; threshold {told.threshold:.2f}\n"
        f"  on the half that judged: answers {told.answered:.0%}, {told.right:.0%} of them rightly{refused}; "
        f"calibration error {told.error:.1%}"
    )


@knowledge.command("ask")
def _ask(
    base: BASE,
    questions: Annotated[list[str] | None, typer.Argument(help="Without any, lines of standard input.")] = None,
    reader: READER = None,
    reranker: RERANKER = None,
    generate: Annotated[
        str | None, typer.Option(help="Also write the answer in sentences, with this text-generation version.")
    ] = None,
    passages: Annotated[int, typer.Option(help="Show this many of the passages that were found.")] = 0,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    """Answer questions, each with its source, or say that the base has no answer."""
    import sys

    from penjing.app.cli.predict import lines_of
    from penjing.app.knowledge import open_knowledge
    from penjing.knowledge.told import as_dict

    told = {"reader": reader, "reranker": reranker, "generator": generate}
    with open_knowledge(base, recipe=recipe, sets=sets or (), store=store, **told) as opened:
        opened.base.must_exist()
        for question in questions or lines_of(sys.stdin.buffer):
            answer = opened.ask(question, generate=generate is not None)
            if as_json:
                print_json(as_dict(answer, passages=passages))
            else:
                _say(answer, passages=passages)


def _say(answer: KnowledgeAnswer, *, passages: int) -> None:
    typer.echo(answer.question)
    if answer.best is not None:
        typer.echo(f"  {' '.join(answer.best.answer.split())}  {answer.best.confidence:.2f}")
        typer.echo(f"  {_place(answer.best)}")
    else:
        typer.echo(f"  not in the knowledge base  {1 - answer.confidence:.2f}")
        for one in answer.others[:1]:
            typer.echo(f"  nearest: {' '.join(one.answer.split())}  {one.confidence:.2f}  {_place(one)}")
    if answer.generated is not None:
        _say_generated(answer.generated)
    for found in answer.passages[:passages]:
        page = f" page {found.passage.page}" if found.passage.page else ""
        typer.echo(f"  {found.rank}. {found.passage.document}{page}: {' '.join(found.passage.text.split())[:160]}")


def _say_generated(made: Generated) -> None:
    what = "in sentences"
    if made.answer is None:
        what = f"refused, as it does not {'say the answer' if made.is_grounded else 'stand in the passages'}"
    typer.echo(f"  {what} (grounding {made.grounding:.2f}): {' '.join(made.text.split())}")
    if made.finish == "length":
        typer.echo("    it ends where no more tokens were allowed: generation.max_tokens")
    for source in made.sources:
        typer.echo(f"    {source.share:.2f} of it from {_place(source.passage)}")
    if made.left_out:
        typer.echo(f"    {made.left_out} passages left out, for which {made.model} has no room")


def _place(cited: Citation | Passage) -> str:
    page = f", page {cited.page}" if cited.page else ""
    return f"{cited.document}{page}, characters {cited.begin}–{cited.end}"


def _table(listed: list[dict[str, Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("document", "title", "pages", "characters", "passages", "added"):
        table.add_column(column, justify="right" if column in ("pages", "characters", "passages") else "left")
    for one in listed:
        table.add_row(
            one["document"], one["title"], str(one["pages"] or "—"), f"{one['characters']:,}",
            f"{one['passages']:,}", one["added"][:10],
        )  # fmt: skip
    return table
