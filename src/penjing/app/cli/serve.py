"""``penjing serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, print_json

_HELP = """Serve the models of a store over HTTP and gRPC, in TensorFlow Serving's and other protocols. Needs no torch.

```console
penjing serve --store store --port 8501
curl localhost:8501/v1/models/newsgroups:predict -d '{"instances": ["the shuttle reached orbit"]}'
```

The newest version of each model is served, and every version an alias leads to; new ones are picked up
while it runs. gRPC has a port of its own, where one is given. /readyz answers 200 once all are loaded and
warm; /metrics speaks Prometheus. SIGTERM finishes what was accepted. --tls-cert and
--tls-key encrypt both ports; a renewed certificate is taken up. --keys lets in holders of keys only, which is a
must where other machines can reach it, unless --no-access-control. --knowledge answers questions out of
documents at /v1/knowledge. --json prints the addresses, once it
listens, for a program to read.
"""


KEYS = Annotated[
    Path | None, typer.Option("--keys", envvar="PENJING_KEYS", help="Let in only holders of these keys (penjing keys).")
]
OPEN_TO_ALL = Annotated[
    bool, typer.Option("--no-access-control", help="Let everybody do everything, from other machines, too.")
]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve", help=_HELP)(_serve)


def _serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="8501 by default; 0 takes a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Speak gRPC there, usually 8500; 0 takes a free one.")] = None,
    uds: Annotated[Path | None, typer.Option(help="Listen on this Unix socket instead of a port.")] = None,
    grpc_uds: Annotated[Path | None, typer.Option(help="Speak gRPC on this Unix socket.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Speak TLS with this certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="Let in only clients with a certificate of this authority (PEM).")
    ] = None,
    keys: KEYS = None,
    no_access_control: OPEN_TO_ALL = False,
    workers: Annotated[int | None, typer.Option(help="Server processes on the same ports; 1 by default.")] = None,
    models: Annotated[list[str] | None, typer.Option("--model", help="Serve only this model. May be repeated.")] = None,
    knowledge: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Answer out of this knowledge base. May be repeated.")
    ] = None,
    knowledge_writable: Annotated[
        bool,
        typer.Option("--knowledge-writable", help="Let requests add documents to knowledge bases, and remove them."),
    ] = False,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.core.recipe import resolve_recipe
    from penjing.serve import Server, ServeRecipe, StoreCatalogue, Workers, serve
    from penjing.store import Store

    flags = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "uds": uds,
        "grpc_uds": grpc_uds,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "keys": keys,
        "access_control": False if no_access_control else None,
        "workers": workers,
        "models": models or None,
    }
    told, also = resolve_recipe(ServeRecipe, recipe, sets or (), flags=flags), None
    if knowledge:
        from penjing.app.knowledge_serving import named_bases, with_knowledge

        told, also = with_knowledge(told, named_bases(knowledge), store=store, is_writable=knowledge_writable)

    def announce(server: Server | Workers) -> None:
        also = f" and gRPC on {server.grpc_address}" if server.grpc_address else ""
        typer.echo(f"Serving {store} on {server.url}{also} (Ctrl-C stops)", err=True)
        if as_json:
            print_json({"url": server.url, "grpc": server.grpc_address, "store": str(store)})

    serve(StoreCatalogue(Store(store)), told, on_start=announce, also=also)
