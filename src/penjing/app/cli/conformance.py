"""``penjing conformance``."""

from __future__ import annotations

from typing import Annotated

import typer

from penjing.app.cli.options import JSON, print_json

_HELP = """Ask a running server through the clients that people already have, and report what holds.

```console
penjing conformance http://127.0.0.1:8501 --grpc 127.0.0.1:8500 --model newsgroups
```

TensorFlow Serving's REST and gRPC stubs, Triton's clients with their defaults, KServe's and OpenAI's, and
schemathesis over the server's own OpenAPI document. A client that is not installed is said to be so:
pip install 'penjing[conformance]'. Exit status 1 if any check failed. Any server may be asked.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("conformance", help=_HELP)(_conformance)


def _conformance(
    url: Annotated[str, typer.Argument(help="Address of the server's HTTP.")],
    grpc: Annotated[str | None, typer.Option(help="host:port of its gRPC.")] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask; needed where there are several.")] = None,
    clients: Annotated[list[str] | None, typer.Option("--client", help="Only this client. May be repeated.")] = None,
    text: Annotated[str, typer.Option(help="A text that the model takes.")] = "The shuttle reached orbit.",
    ids: Annotated[str, typer.Option(help="Token ids that the model takes, with commas.")] = "2,7,3",
    as_json: JSON = False,
) -> None:
    from penjing.app.conformance import conformance
    from penjing.app.terminal import TerminalProgress, conformance_table, show

    report = conformance(
        url, grpc=grpc, model=model, clients=clients or (), text=text, ids=_ids(ids), progress=TerminalProgress()
    )
    if as_json:
        print_json(report.as_dict())
    else:
        show(conformance_table(report))
    if report.count("failed"):
        raise typer.Exit(1)


def _ids(told: str) -> list[int]:
    from penjing.core.errors import UsageError

    try:
        return [int(part) for part in told.split(",")]
    except ValueError:
        raise UsageError(f"--ids is {told!r}", expected="whole numbers with commas between them") from None
