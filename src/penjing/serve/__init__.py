"""Serving: versions of models behind wire protocols, on one data plane. Loads no torch."""

from penjing.serve.answers import Answers, Cost
from penjing.serve.catalogue import Catalogue, FolderCatalogue, StoreCatalogue
from penjing.serve.metrics import METRICS
from penjing.serve.recipe import ServeRecipe, VersionPolicy
from penjing.serve.running import running_server, serve
from penjing.serve.server import Server
from penjing.serve.workers import Workers

__all__ = [
    "METRICS",
    "Answers",
    "Catalogue",
    "Cost",
    "FolderCatalogue",
    "ServeRecipe",
    "Server",
    "StoreCatalogue",
    "VersionPolicy",
    "Workers",
    "running_server",
    "serve",
]
