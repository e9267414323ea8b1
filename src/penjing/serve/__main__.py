"""``python -m penjing.serve STORE [--set key=value …]``: a server and nothing else, for parents that start one.

Prints one line of JSON, ``{"url": …, "grpc": …}``, when it answers; stops on SIGTERM or SIGINT. People use
``penjing serve``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from penjing.core.errors import PenjingError
from penjing.core.recipe import resolve_recipe
from penjing.serve.catalogue import StoreCatalogue
from penjing.serve.recipe import ServeRecipe
from penjing.serve.running import serve
from penjing.serve.server import Server
from penjing.serve.workers import Workers
from penjing.store.store import Store


def main() -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m penjing.serve")
    parser.add_argument("store", type=Path)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    told = parser.parse_args()
    try:
        recipe = resolve_recipe(ServeRecipe, told.recipe, told.set)
        serve(StoreCatalogue(Store(told.store)), recipe, on_start=_announce)
    except PenjingError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


def _announce(server: Server | Workers) -> None:
    sys.stdout.write(json.dumps({"url": server.url, "grpc": server.grpc_address}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
