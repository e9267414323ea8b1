"""Models as OpenAI and KServe list them, for their own prefixes and for the URLs that three dialects share."""

from __future__ import annotations

from typing import Any

from penjing.serve.sight import KnownModels

_OWNER = "penjing"


def openai_model(models: KnownModels, name: str) -> dict[str, Any]:
    """OpenAI's object of a model; ``created`` is the newest available version's time, 0 before there is one."""
    shelf = models.shelf(name)
    newest = shelf.available()[:1] if shelf else []
    created = int(newest[0].servable.manifest.created.timestamp()) if newest else 0
    return {"id": name, "object": "model", "created": created, "owned_by": _OWNER}


def is_ready(models: KnownModels, name: str) -> bool:
    """Whether a version of the model takes requests."""
    shelf = models.shelf(name)
    return shelf is not None and bool(shelf.available())
