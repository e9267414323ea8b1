"""A run in MLflow, read back through its own client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.mirrors.told import IDENTITY, bundle, run, steps
from penjing.app.mirrors.mlflow_mirror import MlflowMirror

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
pytest.importorskip("alembic", reason="the extra mlflow is not installed")

# MLflow's import and SQLAlchemy's pools warn of what is not ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> str:
    """Of a file that is made once, for its tables take MLflow seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'new' / 'runs.db'}"


@pytest.fixture
def client(database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # what is written beside the database would be found here
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=database)


def begun(database, experiment):
    mirror = MlflowMirror(database, experiment)
    mirror.begin(run())
    return mirror


def the_run(client, experiment):
    (found,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return found


def test_figures_parameters_tags_and_the_report(database, client, tmp_path):
    mirror = begun(database, "whole")
    mirror.take(steps(1, 600))
    mirror.end(bundle(tmp_path), 600)
    found = the_run(client, "whole")
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "name": "topics", "rate": "5e-05", "nothing": "null", "inner.list": "[1, 2]", "inner.text": "很好",
    }  # fmt: skip
    loss = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in loss] == [(step, 1 / step) for step in range(1, 601)]
    scores = {key: value for key, value in found.data.metrics.items() if key.startswith("test/")}
    assert scores == {"test/accuracy": 0.75, "test/accuracy.low": 0.5, "test/accuracy.high": 0.875, "test/plain": 2}
    told = {key: value for key, value in found.data.tags.items() if key.startswith("penjing.")}
    assert told == {"penjing.run": IDENTITY, "penjing.version": "topics/1", "penjing.digest": "d" * 64}
    (artifact,) = client.list_artifacts(found.info.run_id)
    copied = client.download_artifacts(found.info.run_id, artifact.path, str(tmp_path))
    assert Path(copied).read_text() == "<p>report</p>"
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize("ended", ["killed", "refused"])
def test_a_killed_run_goes_on_and_tells_no_step_twice(database, client, tmp_path, ended):
    first = begun(database, ended)
    first.take(steps(1, 20))
    if ended == "refused":
        first.break_off()
        assert the_run(client, ended).info.status == "FAILED"
    second = begun(database, ended)
    second.take(steps(13, 18))
    second.take(steps(19, 30))
    second.end(bundle(tmp_path), 30)
    loss = client.get_metric_history(the_run(client, ended).info.run_id, "train/loss")
    assert [one.step for one in loss] == list(range(1, 31))
    assert the_run(client, ended).info.status == "FINISHED"


def test_the_same_recipe_begun_anew_after_its_end_is_a_run_of_its_own(database, client, tmp_path):
    begun(database, "twice").end(bundle(tmp_path), 0)
    begun(database, "twice").break_off()
    found = client.search_runs([client.get_experiment_by_name("twice").experiment_id])
    assert sorted(one.info.status for one in found) == ["FAILED", "FINISHED"]


QUIET = """
import sys
from penjing.app.mirrors.mlflow_mirror import MlflowMirror
from app.mirrors.told import run
try:
    MlflowMirror(sys.argv[1], None).begin(run())
except Exception as error:
    print(type(error).__name__)
"""


def test_a_server_that_is_down_is_no_more_than_one_exception(tmp_path):
    """No line of MLflow's or urllib3's reaches the screen."""
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
    paths = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])])
    ran = subprocess.run(
        [sys.executable, "-c", QUIET, "http://127.0.0.1:9"],
        env={**os.environ, **quick, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout == "MlflowException\n"
    assert ran.stderr == ""
