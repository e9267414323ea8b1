"""A new list of models, sent while the server runs.

The list is the whole of what is served from then on, until the next one or until the server ends. Models come
from where the server was told at its start: a request cannot bring in another directory.

Source: tensorflow/serving, ``model_servers/server_core.cc`` (ReloadConfig, WaitUntilModelsAvailable,
UpdateModelVersionLabelMap).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penjing.core.errors import (
    DeadlineError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
    UnsupportedError,
)
from penjing.serve.recipe import VersionPolicy
from penjing.serve.sight import KnownModels
from penjing.serve.wishes import Wishes

_PLATFORMS = ("", "tensorflow")
_LOOK_EVERY_S = 0.02


def read_config(request: Any, models: KnownModels) -> Wishes:
    """What a ``ReloadConfigRequest`` wishes. Looks into the catalogue.

    Raises:
        InvalidRequestError: the list contradicts itself, or a path is not where the model lies.
        ModelNotFoundError: the catalogue has no such model.
        PreconditionError: the catalogue has no such version, to which a label is to lead.
        UnsupportedError: it wants something of TensorFlow Serving's that Penjing has not.
    """
    if request.config.WhichOneof("config") != "model_config_list":
        raise InvalidRequestError(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    if request.metric_names:
        raise UnsupportedError("a reload reports no metrics", do="Leave metric_names out; GET /metrics tells them.")
    configs = {}
    for config in request.config.model_config_list.config:
        if config.name in configs:
            raise InvalidRequestError(f"Illegal to list model {config.name} multiple times in config list")
        _check(config, models)
        configs[config.name] = config
    usual = models.wishes.usual
    return Wishes(
        tuple(configs),
        usual,
        policies={name: _policy(config, is_labelled=usual.labelled) for name, config in configs.items()},
        labels={name: dict(config.version_labels) for name, config in configs.items()},
        is_complete=True,
    )


async def carry_out(wishes: Wishes, models: KnownModels, *, deadline: float) -> None:
    """Serve what is wished, and wait until it is.

    Raises:
        DeadlineError: it took too long; it goes on all the same.
        NotReadyError: a model has no version that could be loaded.
        PreconditionError: a label leads to a version that could not be loaded.
    """
    done = models.serve(wishes)
    while not done.is_set():
        if time.monotonic() >= deadline:
            raise DeadlineError("the models are still being loaded", do="Ask for their status later.")
        await asyncio.sleep(_LOOK_EVERY_S)
    if missing := {name: why for name in sorted(wishes.models or ()) if (why := models.why_not(name))}:
        told = ", ".join(f"{name}: {why}" for name, why in missing.items())
        raise NotReadyError(f"Some models did not become available: {{{told}}}")
    for name in wishes.models or ():
        _check_labels(name, wishes, models)


def _check(config: Any, models: KnownModels) -> None:
    if config.model_platform not in _PLATFORMS:
        raise InvalidRequestError(
            f"Model {config.name} requests unsupported platform {config.model_platform}", expected="tensorflow or none"
        )
    if config.HasField("logging_config"):
        raise UnsupportedError(f"model {config.name}: requests are not logged", do="Leave logging_config out.")
    numbers = _versions(config.name, models)
    for number in config.version_labels.values():
        if number not in numbers:
            raise _not_available(config.name, number)
    if config.base_path and not _is_same(config.base_path, models.catalogue.folder(config.name)):
        raise InvalidRequestError(
            f"base_path {config.base_path!r} is not where model {config.name} lies",
            expected="none, or the model's own directory in the store",
            do="Publish the model to the store.",
        )


def _versions(name: str, models: KnownModels) -> list[int]:
    try:
        if numbers := models.catalogue.versions(name):
            return numbers
    except NotFoundError:
        pass
    raise ModelNotFoundError(
        f"model {name!r} is unknown",
        expected=f"one of: {', '.join(models.catalogue.models()) or '-'}",
        do="Publish the model to the store first.",
    )


def _is_same(path: str, folder: Path) -> bool:
    try:
        return Path(path).resolve() == folder.resolve()
    except (OSError, ValueError):  # such as a name with a zero byte in it
        return False


def _policy(config: Any, *, is_labelled: bool) -> VersionPolicy:
    sent = config.model_version_policy
    kind = sent.WhichOneof("policy_choice") or "latest"
    try:
        return VersionPolicy(
            kind=kind,
            count=max(1, sent.latest.num_versions),
            specific=tuple(sent.specific.versions) if kind == "specific" else (),
            labelled=is_labelled,
        )
    except ValidationError as error:
        raise InvalidRequestError(
            f"model {config.name} is to be served in no version", expected="versions in the policy 'specific'"
        ) from error


def _check_labels(name: str, wishes: Wishes, models: KnownModels) -> None:
    shelf = models.shelf(name)
    available = {version.number for version in shelf.available()} if shelf else set()
    for number in wishes.labels.get(name, {}).values():
        if number not in available:
            raise _not_available(name, number)


def _not_available(name: str, number: int) -> PreconditionError:
    return PreconditionError(
        f"Request to assign label to version {number} of model {name}, which is not currently available for inference"
    )
