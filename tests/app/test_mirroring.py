"""Commands that train, mirrored: what is seen elsewhere, and that the run itself is none the wiser."""

from __future__ import annotations

import pytest

from app.calling import finetuning, penjing, settings
from app.world import labelled_rows
from penjing.store import Store

SECRET = "hunter2"
BRIEFLY = settings("measure=null", "training.epochs=1", "data.validation_fraction=0.1", "training.validate_every=1")
TRAINED = {"train/loss", "train/rate", "train/gradient_norm", "train/tokens_per_s"}


def read(folder):
    """The one run in a folder, by TensorBoard's own reader."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    (run,) = folder.iterdir()
    found = accumulator.EventAccumulator(str(run))
    found.Reload()
    return found


@pytest.mark.filterwarnings("default")  # SQLAlchemy warns MLflow
def test_a_fine_tuning_in_both_ends_as_one_without(world, made, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    pytest.importorskip("alembic", reason="the extra mlflow is not installed")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    ran = penjing(
        *finetuning(world, tmp_path / "store", "--tensorboard", tmp_path / "runs", "--mlflow", uri, "--json"),
        *settings("mirrors.experiment=trees"),
    )
    assert ran.status == 0, ran.err
    assert "mirror" not in ran.err
    bundle, plain = Store(tmp_path / "store").bundle("topics", 1), Store(made.store).bundle("topics", 1)
    weights = "checkpoint/model.safetensors"
    assert bundle.manifest.files[weights] == plain.manifest.files[weights]
    accuracy, board = bundle.manifest.metrics["accuracy"], read(tmp_path / "runs")
    assert len(board.Scalars("train/loss")) == 12 * 9  # epochs of 280 rows by 32
    assert board.Scalars("test/accuracy")[0].value == pytest.approx(accuracy.value)
    client = tracking.MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("trees").experiment_id])
    assert found.data.metrics["test/accuracy.low"] == pytest.approx(accuracy.low)
    assert found.data.tags["penjing.digest"] == bundle.digest
    assert found.data.params["training.epochs"] == "12.0"
    assert not any(key.startswith("mirrors") for key in found.data.params)
    assert [one.path for one in client.list_artifacts(found.info.run_id)] == ["report.html"]


def test_looks_at_the_validation_split_are_shown(world, tmp_path):
    ran = penjing(*finetuning(world, tmp_path / "store", "--tensorboard", tmp_path / "runs"), *BRIEFLY)
    assert ran.status == 0, ran.err
    board = read(tmp_path / "runs")
    assert TRAINED | {"validation/loss"} <= set(board.Tags()["scalars"])
    assert [one.step for one in board.Scalars("validation/loss")] == [8]


def test_distilling_and_pretraining_are_mirrored(store, tmp_path):
    student = penjing(
        "distill", "topics/1", "--name", "small", "--layers", 1, "--store", store, "--tensorboard", tmp_path / "small",
        *settings("measure=null", "training.epochs=1", "training.threads=1"),
    )  # fmt: skip
    assert student.status == 0, student.err
    assert {"test/accuracy", "test/agreement", *TRAINED} <= set(read(tmp_path / "small").Tags()["scalars"])
    (tmp_path / "text.txt").write_text("\n".join(text for text, _ in labelled_rows(200, seed=3)))
    small = ("architecture.layers=1", "architecture.hidden=32", "architecture.heads=2", "architecture.positions=32",
             "tokenizer.vocabulary=300", "text.max_tokens=16", "data.documents=line", "data.held_out=0.2",
             "training.threads=1")  # fmt: skip
    guess = penjing(
        "pretrain", "--name", "guess", "--train", tmp_path / "text.txt", "--store", store,
        "--tensorboard", tmp_path / "guess", *settings(*small),
    )  # fmt: skip
    assert guess.status == 0, guess.err
    assert {"test/perplexity", *TRAINED} <= set(read(tmp_path / "guess").Tags()["scalars"])


def test_a_place_that_cannot_be_written_is_told_once_and_costs_nothing_more(world, tmp_path):
    (tmp_path / "file").write_text("")
    ran = penjing(*finetuning(world, tmp_path / "store", "--tensorboard", tmp_path / "file"), *BRIEFLY)
    assert ran.status == 0, ran.err
    assert ran.err.count("The mirror in TensorBoard is off: ") == 1


def test_what_cannot_work_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    for command in ("finetune", "pretrain", "distill"):
        given = [command, "--name", "x", "--store", tmp_path / "store"]
        given += ["nowhere/1"] if command == "distill" else ["--train", tmp_path / "nowhere"]
        ran = penjing(*given, "--mlflow", f"http://me:{SECRET}@host")
        assert ran.status == 2
        assert "env:VARIABLE" in ran.err
        assert SECRET not in ran.err
        with monkeypatch.context() as without:
            without.setattr("importlib.util.find_spec", lambda _: None)
            ran = penjing(*given, "--mlflow", "http://host")
        assert ran.status == 1
        assert "penjing[mlflow]" in ran.err
    assert not (tmp_path / "store").exists()


def test_a_recipe_of_another_mirror_is_the_same_run():
    from penjing.app.mirrors.recipe import run_digest
    from penjing.app.recipes import FinetuneRecipe

    given = {"name": "x", "data": {"train": "x.csv"}}
    plain, shown = (FinetuneRecipe.model_validate(given | more) for more in ({}, {"mirrors": {"tensorboard": "runs"}}))
    other = FinetuneRecipe.model_validate(given | {"seed": 1})
    assert run_digest(plain) == run_digest(shown) != run_digest(other)
