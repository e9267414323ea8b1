"""Triton's model repository calls, as far as Penjing's model manager goes along.

What is served follows the store, so ``load`` means: look at the store now, try anew what failed to load,
and say how it ended. ``unload`` has no meaning: what lies in the store would come back at the next look.

Source: Triton's model repository extension.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from typing import Any

from penjing.core.errors import DeadlineError, ModelNotFoundError, UnsupportedError
from penjing.serve.sight import KnownModels
from penjing.serve.versions import State, Version

_STATES = {
    State.AVAILABLE: "READY",
    State.LOADING: "LOADING",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
}
_LOOK_EVERY_S = 0.02


def index(models: KnownModels, *, only_ready: bool) -> list[dict[str, str]]:
    """Every version that was ever taken up, and models of which there is none yet."""
    listed = [*_versions(models), *_without_versions(models)]
    return [one for one in listed if not only_ready or one["state"] == _STATES[State.AVAILABLE]]


def find(models: KnownModels, model: str, ref: int | str | None) -> Version:
    """A version, to be left; where there is none, Triton's words.

    Raises:
        ModelNotFoundError: no such model, version or alias.
        NotReadyError: there is, but it takes no requests.
    """
    try:
        return models.enter(model, ref)
    except ModelNotFoundError as error:
        which = f"'{model}'" + (f" version {ref}" if model in models.names() else "")
        raise ModelNotFoundError(f"Request for unknown model: {which} is not found") from error


async def load(models: KnownModels, model: str, parameters: Collection[str], *, deadline: float) -> None:
    """Look for the model's versions, and wait until they are loaded.

    Raises:
        UnsupportedError: parameters were given.
        ModelNotFoundError, NotReadyError: none is available after that; says why.
        DeadlineError: it took too long; it goes on all the same.
    """
    if parameters:
        raise UnsupportedError(
            f"failed to load '{model}': a load takes no parameters", do="Publish a version to the store."
        )
    done = models.look_again(model)
    while not done.is_set():
        if time.monotonic() >= deadline:
            raise DeadlineError(f"model '{model}' is still being loaded", do="Ask for its state later.")
        await asyncio.sleep(_LOOK_EVERY_S)
    models.enter(model).leave()


def refuse_unload(models: KnownModels, model: str) -> UnsupportedError | ModelNotFoundError:
    """Why a model cannot be unloaded by a request."""
    if models.shelf(model) is None and model not in models.names():
        return ModelNotFoundError(f"Request for unknown model: '{model}' is not found")
    return UnsupportedError(
        f"failed to unload '{model}': what is served follows the store",
        do="Change the recipe's models or versions, or remove the versions from the store.",
    )


def _versions(models: KnownModels) -> Iterator[dict[str, str]]:
    for version in sorted(models.all(), key=lambda one: (one.model, one.number)):
        yield {
            "name": version.model,
            "version": str(version.number),
            "state": _STATES.get(version.state, "UNKNOWN"),
            "reason": _reason(version),
        }


def _without_versions(models: KnownModels) -> Iterator[dict[str, Any]]:
    for name in models.names():
        shelf = models.shelf(name)
        if shelf is None or not shelf.versions:
            yield {"name": name, "state": _STATES[State.END], "reason": models.why_not(name)}


def _reason(version: Version) -> str:
    if version.error is not None:
        return str(version.error)
    return "unloaded" if version.state is State.END else ""
