"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from app.mirrors.told import bundle, run, steps
from penjing.app.mirrors.events import EventFile, scalars
from penjing.app.mirrors.tensorboard import TensorBoardMirror

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard reads the files back; pip install it"
)


def read(folder):
    found = accumulator.EventAccumulator(str(folder), size_guidance={accumulator.SCALARS: 0, accumulator.TENSORS: 0})
    found.Reload()
    return found


def words(found, tag):
    return [one.tensor_proto.string_val[0].decode() for one in found.Tensors(tag)]


def test_every_figure_is_read_back_with_its_step_and_time(tmp_path):
    mirror = TensorBoardMirror(tmp_path)
    mirror.begin(run())
    mirror.take(steps(1, 300))
    mirror.end(bundle(tmp_path), 300)
    found = read(tmp_path / "topics-01234567")
    loss = found.Scalars("train/loss")
    assert [(one.step, one.wall_time) for one in loss] == [(step, 1000.0 + step) for step in range(1, 301)]
    assert [one.value for one in loss] == pytest.approx([1 / step for step in range(1, 301)])
    scores = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"] if tag.startswith("test/")}
    assert scores == {"test/accuracy": 0.75, "test/accuracy.low": 0.5, "test/accuracy.high": 0.875, "test/plain": 2}
    assert found.Scalars("test/accuracy")[0].step == 300


def test_recipe_and_version_are_texts(tmp_path):
    mirror = TensorBoardMirror(tmp_path)
    mirror.begin(run())
    mirror.end(bundle(tmp_path), 0)
    found = read(tmp_path / "topics-01234567")
    assert found.SummaryMetadata("recipe").plugin_data.plugin_name == "text"
    (recipe,) = words(found, "recipe")
    assert recipe.splitlines() == [
        "    name: topics", "    rate: 5e-05", "    nothing: null", "    inner.list: [1, 2]", "    inner.text: 很好",
    ]  # fmt: skip
    (version,) = words(found, "version")
    assert "topics/1" in version
    assert "d" * 64 in version


def test_steps_trained_again_after_a_kill_take_the_place_of_the_first(tmp_path):
    killed = TensorBoardMirror(tmp_path)
    killed.begin(run())
    killed.take(steps(1, 20))
    resumed = TensorBoardMirror(tmp_path)
    resumed.begin(run())
    resumed.take(steps(13, 15))
    resumed.take(steps(16, 22))
    resumed.take([*steps(18, 20), *steps(21, 30)])  # gone back to an earlier state
    killed.break_off()
    resumed.break_off()
    assert len(list(tmp_path.iterdir())) == 1
    assert [one.step for one in read(tmp_path / "topics-01234567").Scalars("train/loss")] == list(range(1, 31))


def test_a_record_cut_off_by_a_kill_hides_none_before_it(tmp_path):
    file = EventFile(tmp_path)
    file.add([scalars({"train/loss": float(step)}, step=step) for step in range(1, 5)])
    file.close()
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-3])
    assert [one.step for one in read(tmp_path).Scalars("train/loss")] == [1, 2, 3]


def test_a_full_disk_is_told_at_once(tmp_path):
    file = EventFile(tmp_path)
    file.close()
    file._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  (the file closes it)
    with pytest.raises(OSError, match="No space") as refused:
        file.add([scalars({"train/loss": 1.0}, step=1)])
    assert refused.value.errno == errno.ENOSPC
    assert file._file.closed
