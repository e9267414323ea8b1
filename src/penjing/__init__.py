"""Penjing: one tool for the whole life of a pretrained language model.

Each command of ``penjing --help`` is a function here: ``penjing.pretrain``, ``penjing.finetune``, ``penjing.evaluate``,
``penjing.quantize``, ``penjing.distill``, ``penjing.cascade``, ``penjing.compress``, ``penjing.prune``,
``penjing.export``, ``penjing.predict``, ``penjing.predict_file``, ``penjing.open_knowledge``,
``penjing.list_versions``, ``penjing.quickstart``, ``penjing.search``, ``penjing.simulate``,
``penjing.delta.extract`` and its like.
They are loaded when first used, so importing Penjing is instant.
``penjing.evaluate``, ``penjing.export`` and ``penjing.compress`` are packages too; called, they are the commands.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penjing.app import delta
    from penjing.app.cascade import cascade
    from penjing.app.cascade_recipe import CascadeCommand
    from penjing.app.compress import compress
    from penjing.app.distill import distill
    from penjing.app.evaluate import evaluate
    from penjing.app.export import export
    from penjing.app.finetune import finetune
    from penjing.app.knowledge import open_knowledge
    from penjing.app.models import list_versions
    from penjing.app.other_forms import export_padded, export_saved_model
    from penjing.app.predict import predict
    from penjing.app.predict_file import predict_file
    from penjing.app.pretrain import pretrain
    from penjing.app.pretrain_recipe import PretrainRecipe
    from penjing.app.prune import prune
    from penjing.app.quantize import quantize
    from penjing.app.quickstart import quickstart
    from penjing.app.recipes import FinetuneRecipe, QuantizeCommand
    from penjing.app.search import search
    from penjing.app.search_recipe import SearchRecipe
    from penjing.app.simulating import simulate
    from penjing.app.smaller_recipes import CompressCommand, DistillCommand, PruneCommand
    from penjing.fleet import GatewayRecipe, running_gateway
    from penjing.fleet.simulation import SimulateRecipe
    from penjing.knowledge import KnowledgeRecipe
    from penjing.serve import ServeRecipe, running_server
    from penjing.store import Store

__all__ = [
    "CascadeCommand",
    "CompressCommand",
    "DistillCommand",
    "FinetuneRecipe",
    "GatewayRecipe",
    "KnowledgeRecipe",
    "PretrainRecipe",
    "PruneCommand",
    "QuantizeCommand",
    "SearchRecipe",
    "ServeRecipe",
    "SimulateRecipe",
    "Store",
    "cascade",
    "compress",
    "delta",
    "distill",
    "evaluate",
    "export",
    "export_padded",
    "export_saved_model",
    "finetune",
    "list_versions",
    "open_knowledge",
    "predict",
    "predict_file",
    "pretrain",
    "prune",
    "quantize",
    "quickstart",
    "running_gateway",
    "running_server",
    "search",
    "simulate",
]

_HOMES = {
    "__version__": "penjing.core.version",
    "CascadeCommand": "penjing.app.cascade_recipe",
    "CompressCommand": "penjing.app.smaller_recipes",
    "DistillCommand": "penjing.app.smaller_recipes",
    "FinetuneRecipe": "penjing.app.recipes",
    "GatewayRecipe": "penjing.fleet",
    "KnowledgeRecipe": "penjing.knowledge",
    "PretrainRecipe": "penjing.app.pretrain_recipe",
    "PruneCommand": "penjing.app.smaller_recipes",
    "QuantizeCommand": "penjing.app.recipes",
    "SearchRecipe": "penjing.app.search_recipe",
    "ServeRecipe": "penjing.serve",
    "SimulateRecipe": "penjing.fleet.simulation",
    "Store": "penjing.store",
    "cascade": "penjing.app.cascade",
    "compress": "penjing.app.compress",
    "distill": "penjing.app.distill",
    "evaluate": "penjing.app.evaluate",
    "export": "penjing.app.export",
    "export_padded": "penjing.app.other_forms",
    "export_saved_model": "penjing.app.other_forms",
    "finetune": "penjing.app.finetune",
    "list_versions": "penjing.app.models",
    "open_knowledge": "penjing.app.knowledge",
    "predict": "penjing.app.predict",
    "predict_file": "penjing.app.predict_file",
    "pretrain": "penjing.app.pretrain",
    "prune": "penjing.app.prune",
    "quantize": "penjing.app.quantize",
    "quickstart": "penjing.app.quickstart",
    "running_server": "penjing.serve",
    "running_gateway": "penjing.fleet",
    "search": "penjing.app.search",
    "simulate": "penjing.app.simulating",
}


_GROUPS = {"delta": "penjing.app.delta"}  # commands of commands


def __getattr__(name: str) -> Any:
    if name in _GROUPS:
        return import_module(_GROUPS[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'penjing' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


class _Command(ModuleType):
    """A package that has the name of a command."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(_HOMES[name]), name)(*arguments, **options)


class _Root(ModuleType):
    """The package itself: an import of ``penjing.evaluate`` would hide the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value.__class__ = _Command
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root
