"""A fine-tuning by the workers of a Ray cluster. Ray Train starts and joins them; each does what torchrun's do.

Promise: the same recipe gives the same model as one process does, to rounding. A worker that dies ends the run with
words that name it; the same command then goes on from the last state.

Trade: the driver sees what the first worker returns and prints, nothing of the training itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from penjing.app.recipes import FinetuneRecipe
from penjing.app.tasks import Judgement
from penjing.core.errors import PenjingError, ResourceError, UsageError
from penjing.core.extras import refuse_missing, require
from penjing.core.machine import usable_cores
from penjing.evaluate import SystemRow
from penjing.store import Bundle, Store

Work = Callable[[dict[str, Any]], Any]
_EXTRA = "ray"


@dataclass(frozen=True, slots=True)
class FinetunedElsewhere:
    """What came of it.

    Attributes:
        bundle: the new version.
        judgement, systems, metric: as of :class:`penjing.app.finetune.Finetuned`.
    """

    bundle: Bundle
    judgement: Judgement
    systems: tuple[SystemRow, ...]
    metric: str


def finetune_on_ray(
    recipe: FinetuneRecipe, *, store: Path, workers: int = 2, quiet: bool = False
) -> FinetunedElsewhere:
    """Fine-tune by several workers of the cluster that ``RAY_ADDRESS`` names, or of one made of this machine.

    Args:
        recipe: as for one process; ``training.batch_size`` is of all workers together.
        store: in a directory that all workers see.
        workers: processes that train.
        quiet: show nothing of what the workers print.

    Raises:
        PenjingError: what stopped the first worker, as if it had been alone.
        ResourceError: Ray is not installed or not there, or a worker died.
        UsageError: more workers than the cluster has cores.
    """
    refuse_missing("ray", extra=_EXTRA)
    job = {"recipe": recipe.model_dump(mode="json"), "store": str(store.resolve()), "folder": str(Path.cwd())}
    each = recipe.training.threads or 1
    with cluster(workers, cores_each=each, quiet=quiet):
        version, *told = run_workers(_finetune, job, workers=workers, cores_each=each)
    return FinetunedElsewhere(Store(store).bundle(recipe.name, version), *told)


def _finetune(job: dict[str, Any]) -> tuple[int, Judgement, tuple[SystemRow, ...], str] | None:
    """What each worker does; the first one's answer is the driver's."""
    from penjing.app.finetune import finetune  # late, as the command does
    from penjing.app.taking_part import take_part
    from penjing.app.terminal import TerminalProgress
    from penjing.train.place import is_helper

    os.chdir(job["folder"])  # so that the recipe's paths mean what they mean to the driver
    recipe, store = FinetuneRecipe.model_validate(job["recipe"]), Path(job["store"])
    if is_helper():
        take_part(recipe, store=store)
        return None
    done = finetune(recipe, store=store, progress=TerminalProgress())
    return done.bundle.manifest.version, done.judgement, done.systems, done.metric


@contextmanager
def cluster(workers: int, *, cores_each: int = 1, quiet: bool) -> Iterator[None]:
    """Be connected to a cluster for the length of a block.

    Raises:
        ResourceError: it cannot be reached.
        UsageError: it has not the cores.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray would tell its makers
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # we have states; it warns at every start
    ray = require("ray", extra=_EXTRA)
    was_there = ray.is_initialized()
    own: dict[str, Any] = {}
    if not was_there and not os.environ.get("RAY_ADDRESS"):
        own = {"num_cpus": usable_cores(), "include_dashboard": False}
        _refuse_too_many(workers, cores_each, cores=usable_cores())
    try:
        if not was_there:
            logging = ray.LoggingConfig(log_level="ERROR")
            ray.init(logging_config=logging, logging_level="ERROR", log_to_driver=not quiet, **own)
        _refuse_too_many(workers, cores_each, cores=float(ray.cluster_resources().get("CPU", 0)))
        yield
    except (ConnectionError, TimeoutError) as error:
        raise ResourceError(
            f"the Ray cluster cannot be reached: {error}",
            expected="one at RAY_ADDRESS, or none named",
            do="Start it with ray start --head, or unset RAY_ADDRESS.",
        ) from error
    finally:
        if not was_there:
            ray.shutdown()


def run_workers(work: Work, job: dict[str, Any], *, workers: int, cores_each: int = 1) -> Any:
    """Let joined workers do something; what the first of them returns.

    Raises:
        PenjingError: as a worker raised it.
        ResourceError: a worker died.
    """
    train, by_torch = require("ray.train", extra=_EXTRA), require("ray.train.torch", extra=_EXTRA)
    own = Path(job["store"]) / ".runs" / f"ray-{uuid4().hex[:12]}"
    trainer = by_torch.TorchTrainer(
        work,
        train_loop_config=job,
        scaling_config=train.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": cores_each}),
        torch_config=by_torch.TorchConfig(backend="gloo"),
        run_config=train.RunConfig(name=own.name, storage_path=str(own.parent)),
    )
    try:
        return trainer.fit().return_value
    except (train.WorkerGroupError, train.ControllerError) as error:  # in the second Ray itself noticed first
        failures = getattr(error, "worker_failures", None) or {None: error.controller_failure}
        raise _cause(failures, workers=workers) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)  # Ray's notes on the run; states lie elsewhere


def _cause(failures: dict[int | None, Exception], *, workers: int) -> PenjingError:
    """The error that a run ends with: a worker's own words where it had some. By worker; None is an unknown one."""
    found = {rank: getattr(error, "_base_exc", error) for rank, error in failures.items()}
    own = next((error for error in found.values() if isinstance(error, PenjingError)), None)
    if own is not None:
        return own
    rank, error = next(iter(found.items()))
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ResourceError(
        f"{'a worker' if rank is None else f'worker {rank}'} of {workers} ended before its work was done: {words}",
        expected="workers that live to the end",
        do="Start the same command again; it goes on from its last state.",
    )


def _refuse_too_many(workers: int, cores_each: int, *, cores: float) -> None:
    if workers * cores_each > cores:
        each = "" if cores_each == 1 else f" of {cores_each} threads"
        raise UsageError(
            f"{workers} workers{each} are more than the cluster's {cores:g} cores can hold at a time",
            expected=f"at most {int(cores // cores_each)}",
            do="Lower --workers, or name a larger cluster by RAY_ADDRESS.",
        )
