"""Steps that give no number, passes that do not fit the memory, weights that something else spoilt."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from penjing.core.errors import DivergenceError, ResourceError
from penjing.tasks import text_classification
from penjing.tokens import Encoding
from penjing.train.state import StateDirectory
from penjing.train.training_set import TrainingSet
from train.toy import Watcher, run, toy_encoder, toy_set, weights_of

NAN = float("nan")


def refusing(length):
    """An objective that gives no number for sequences of that length."""

    def objective(logits, targets, lengths):
        loss = text_classification.loss(logits, targets, lengths)
        return loss * NAN if (lengths == length).any() else loss

    return objective


def greedy(tokens):
    """An objective for which there is memory for that many tokens."""

    def objective(logits, targets, lengths):
        if int(lengths.sum()) > tokens:
            torch.empty(1 << 60, dtype=torch.uint8)  # the allocator's own words
        return text_classification.loss(logits, targets, lengths)

    return objective


def with_a_long_row(rows=64, *, at=17):
    data = toy_set(rows, longest=12)
    sequences = list(data.sequences)
    sequences[at] = Encoding(np.arange(20, 40))
    return TrainingSet(sequences, data.targets)


def equal(one, other):
    for (name, weight), same in zip(weights_of(one).items(), weights_of(other).values(), strict=True):
        np.testing.assert_array_equal(weight, same, err_msg=name)


def test_a_step_without_a_number_changes_nothing_and_names_its_row():
    watcher, encoder = Watcher(), toy_encoder()
    done = run(encoder, with_a_long_row(), objective=refusing(20), watcher=watcher)
    assert len(done.left_out) == 3, "one step an epoch"
    assert done.steps == 24
    assert len(watcher.said) == 3
    assert all(re.search(r"was left out: loss nan, .*from training rows 17, counted from 0", it) for it in watcher.said)
    assert all(np.isfinite(weight).all() for weight in weights_of(encoder).values())
    assert not any(int(record["step"]) in done.left_out for record in done.history)
    assert done.history[-1]["loss"] < done.history[0]["loss"]


def test_a_left_out_step_leaves_weights_and_moments():
    """Steps 0 and 2 of a run whose step 1 is left out: what they alone would have done."""
    calls, encoder, snapshots = [], toy_encoder(), []

    def spoilt_once(logits, targets, lengths):
        calls.append(1)
        return text_classification.loss(logits, targets, lengths) * (NAN if len(calls) == 2 else 1)

    watcher = Watcher(lambda _: snapshots.append(weights_of(encoder)))
    said = []
    watcher.say = lambda line: said.append((line, weights_of(encoder)))
    run(encoder, toy_set(24), objective=spoilt_once, epochs=1, watcher=watcher)
    for name, weight in snapshots[0].items():
        np.testing.assert_array_equal(weight, said[0][1][name], err_msg=name)
    assert any((snapshots[1][name] != weight).any() for name, weight in snapshots[0].items())


@pytest.mark.parametrize("leave_out", [0, 2])
def test_no_number_again_and_again_stops_the_run(leave_out):
    with pytest.raises(DivergenceError, match=f"at step {leave_out} the loss is nan.*expected finite.*learning_rate"):
        run(toy_encoder(), toy_set(64), objective=lambda *_: _[0].sum() * NAN, leave_out=leave_out)


def test_a_bad_row_is_named_when_the_run_stops():
    with pytest.raises(DivergenceError, match="from training rows 17, counted from 0"):
        run(toy_encoder(), with_a_long_row(), objective=refusing(20), leave_out=0)


@pytest.mark.parametrize("at", [7, 11, 20])
def test_weights_spoilt_by_something_else_are_put_back(tmp_path, at):
    straight, struck = toy_encoder(), toy_encoder()
    run(straight, toy_set(64))
    watcher, planted = Watcher(), []

    def plant(step):
        if step == at and not planted:
            planted.append(step)
            with torch.no_grad():
                struck.model.bert.encoder.layer[1].output.dense.weight[0, 0] = NAN

    watcher.at_step = plant
    done = run(struck, toy_set(64), states=StateDirectory(tmp_path, run_id="x"), save_every_s=0.0, watcher=watcher)
    assert planted
    assert re.search(
        r"^Going back to step \d+: at step .*weights hold no numbers: .*layer\.1\.output", watcher.said[-1]
    )
    assert done.left_out == ()
    equal(straight, struck)


def test_weights_spoilt_again_and_again_stop_the_run(tmp_path):
    encoder = toy_encoder()

    def plant(step):
        if step >= 5:
            with torch.no_grad():
                encoder.model.classifier.weight[0, 0] = NAN

    with pytest.raises(DivergenceError, match=r"weights hold no numbers: classifier\.weight"):
        run(
            encoder,
            toy_set(64),
            states=StateDirectory(tmp_path, run_id="x"),
            save_every_s=0.0,
            watcher=Watcher(plant),
        )


def test_a_step_that_does_not_fit_is_done_again_in_smaller_passes():
    roomy, cramped, watcher = toy_encoder(), toy_encoder(), Watcher()
    whole = run(roomy, toy_set(64))
    done = run(cramped, toy_set(64), objective=greedy(70), pass_tokens=256, watcher=watcher)
    assert done.pass_tokens == 64
    assert (done.steps, done.left_out) == (whole.steps, ())
    assert re.fullmatch(r"Step \d+ did not fit the memory; passes hold 128 tokens from here on\.", watcher.said[0])
    for name, weight in weights_of(roomy).items():
        if not name.endswith("key.bias"):  # softmax cancels it: its gradient is rounding, which AdamW makes large
            np.testing.assert_allclose(weight, weights_of(cramped)[name], atol=2e-5, err_msg=name)


def test_no_room_for_the_smallest_pass_is_told():
    with pytest.raises(ResourceError, match=r"step 0 does not fit the memory, in passes of 64 tokens.*max_tokens"):
        run(toy_encoder(), toy_set(32), objective=greedy(0), pass_tokens=256)


def test_other_faults_of_the_objective_are_not_taken_for_want_of_memory():
    def broken(*_):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run(toy_encoder(), toy_set(8), objective=broken)


def test_what_was_survived_is_remembered_over_a_stop(tmp_path):
    class StoppedError(Exception):
        pass

    def stop(step):
        if step == 14:
            raise StoppedError

    def both(logits, targets, lengths):
        greedy(70)(logits, targets, lengths)
        return refusing(20)(logits, targets, lengths)

    settings = {"objective": both, "pass_tokens": 256, "save_every_s": 0.0}
    straight, stopped = toy_encoder(), toy_encoder()
    whole = run(straight, with_a_long_row(), **settings)
    states = StateDirectory(tmp_path, run_id="x")
    with pytest.raises(StoppedError):
        run(stopped, with_a_long_row(), states=states, watcher=Watcher(stop), **settings)
    stopped = toy_encoder()
    done = run(stopped, with_a_long_row(), states=states, **settings)
    assert done.resumed_at > 0
    assert (done.left_out, done.pass_tokens) == (whole.left_out, whole.pass_tokens)
    assert len(done.left_out) == 3
    equal(straight, stopped)
