"""A run in MLflow, through its own client: figures by step, the recipe as parameters, the version as tags, its report.

Promise: a killed run that goes on does so in its MLflow run, and no step is told twice. MLflow's own reports of its use
to its makers are switched off. Trade: a server that does not answer is asked three times more and then given up.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from penjing.app.mirrors.base import Run, Step, parameters_of, scores_of
from penjing.core.extras import require
from penjing.store import Bundle

_RUN, _WATCHED = "penjing.run", "train/rate"  # the rate is told of every step
_METRICS, _PARAMETERS, _LONGEST = 1000, 100, 500  # what servers take at once, and of a value
_SQLITE = "sqlite:///"
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


@final
class MlflowMirror:
    """See :class:`penjing.app.mirrors.base.Mirror`.

    Args:
        uri: of tracking.
        experiment: its name; made if absent. None is the model's name.
    """

    name = "MLflow"

    def __init__(self, uri: str, experiment: str | None) -> None:
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._run_id, self._known = "", 0

    def begin(self, run: Run) -> None:
        """The run of a killed process, or a new one."""
        _settle()
        if folder := _folder_of(self._uri):
            folder.mkdir(parents=True, exist_ok=True)  # SQLite makes the file alone
        self._client = require("mlflow.tracking", extra="mlflow").MlflowClient(tracking_uri=self._uri)
        experiment = self._experiment_id(self._experiment or run.name)
        former = self._client.search_runs(
            [experiment], f"tags.`{_RUN}` = '{run.identity}' and attributes.status != 'FINISHED'", max_results=1
        )
        if former:
            self._run_id = former[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            told = self._client.get_metric_history(self._run_id, _WATCHED)
            self._known = max((one.step for one in told), default=0)
        else:
            self._run_id = self._client.create_run(experiment, run_name=run.name, tags={_RUN: run.identity}).info.run_id
        self._tell_recipe(run)

    def take(self, steps: Sequence[Step]) -> None:
        """Their figures, but for steps that were told before a kill."""
        new = [one for one in steps if one.number > self._known]
        self._log([(key, value, one.at, one.number) for one in new for key, value in one.figures.items()])

    def end(self, bundle: Bundle, last: int) -> None:
        """Scores on the test split, the version's reference and digest, and its report."""
        scores, now = scores_of(bundle.manifest.metrics), time.time()
        self._log([(key, value, now, last) for key, value in scores.items()])
        for key, value in {"penjing.version": bundle.reference, "penjing.digest": bundle.digest}.items():
            self._client.set_tag(self._run_id, key, value)
        self._client.log_artifact(self._run_id, str(bundle.path / "report.html"))
        self._client.set_terminated(self._run_id, "FINISHED")

    def break_off(self) -> None:
        """The run is marked as failed; the same command takes it up again."""
        self._client.set_terminated(self._run_id, "FAILED")

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=_artifacts_beside(self._uri)))

    def _tell_recipe(self, run: Run) -> None:
        from mlflow.entities import Param

        told = [Param(key, value[:_LONGEST]) for key, value in parameters_of(run).items()]
        for at in range(0, len(told), _PARAMETERS):
            self._client.log_batch(self._run_id, params=told[at : at + _PARAMETERS])

    def _log(self, figures: Sequence[tuple[str, float, float, int]]) -> None:
        from mlflow.entities import Metric

        told = [Metric(key, value, int(at * 1000), step) for key, value, at, step in figures if math.isfinite(value)]
        for begin in range(0, len(told), _METRICS):
            self._client.log_batch(self._run_id, metrics=told[begin : begin + _METRICS])


def _artifacts_beside(uri: str) -> str | None:
    """Where a new experiment of a database in a file keeps its artifacts; a server knows for itself."""
    folder = _folder_of(uri)
    return (folder / "mlartifacts").as_uri() if folder else None


def _folder_of(uri: str) -> Path | None:
    """Of a database in a file."""
    return Path(uri.removeprefix(_SQLITE)).resolve().parent if uri.startswith(_SQLITE) else None


def _settle() -> None:
    """Little patience with servers, no reports to MLflow's makers, and no lines of its own on the screen."""
    for name, value in {"MLFLOW_DISABLE_TELEMETRY": "true", **_PATIENCE}.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mine = threading.get_ident()
    logging.getLogger("urllib3.connectionpool").addFilter(lambda record: record.thread != mine)
