"""``penjing gateway``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from penjing.app.cli.options import DEFAULT_STORE, JSON, RECIPE, SETS, STORE, print_json

_HELP = """Stand in front of several servers: balance, watch, repeat, restart. One address for all.

```console
penjing gateway --store store --replicas 2
penjing gateway --remote http://10.0.0.7:8501 --remote http://10.0.0.8:8501
penjing gateway --recipe recipes/gateway.yaml
```

--replicas starts that many servers here, watches them, and starts one that dies anew; --remote names servers elsewhere.
Requests of every protocol go through as they are, streams too. By default each goes where it would be done
first, by the tokens under way and the pace of each server. A request that a server was killed over is
sent to another one. /readyz answers 200 once every model has a server that is ready; /metrics
speaks Prometheus; /replicas shows each server. SIGTERM finishes what was accepted. --json prints the addresses
once it listens.
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("gateway", help=_HELP)(_gateway)


def _gateway(
    replicas: Annotated[
        int | None, typer.Option(help="Start so many servers of --store here, instead of those in the recipe.")
    ] = None,
    remote: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A server elsewhere. May be repeated.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Which server a request goes to; least-work by default.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="8080 by default; 0 takes a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Speak gRPC there, usually 8500; 0 takes a free one.")] = None,
    uds: Annotated[Path | None, typer.Option(help="Listen on this Unix socket instead of a port.")] = None,
    recipe: RECIPE = None,
    sets: SETS = None,
    store: STORE = DEFAULT_STORE,
    as_json: JSON = False,
) -> None:
    from penjing.core.recipe import resolve_recipe
    from penjing.fleet import Gateway, GatewayRecipe, gateway

    local = None if replicas is None else [{"replicas": replicas, "store": str(store)}]
    flags: dict[str, Any] = {
        "local": local,
        "remote": [{"url": url} for url in remote] if remote else None,
        "policy": policy,
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "uds": uds,
    }
    told = resolve_recipe(GatewayRecipe, recipe, sets or (), flags=flags)

    def announce(running: Gateway) -> None:
        count = len(running.replicas)
        also = f" and gRPC on {running.grpc_address}" if running.grpc_address else ""
        plural = "s" * (count != 1)
        typer.echo(f"In front of {count} replica{plural} on {running.url}{also} (Ctrl-C stops)", err=True)
        if as_json:
            print_json(
                {"url": running.url, "grpc": running.grpc_address, "replicas": [one.name for one in running.replicas]}
            )

    gateway(told, on_start=announce)
