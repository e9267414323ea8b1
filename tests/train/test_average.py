"""The average of the weights over the steps: against its definition, and over stops."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.train.state import StateDirectory
from train.toy import Watcher, run, toy_encoder, toy_set, weights_of


class StoppedError(Exception):
    """What a test stops the loop with."""


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_it_is_what_its_definition_says(decay):
    encoder = toy_encoder()
    expected = {name: weight.astype(np.float64) for name, weight in weights_of(encoder).items()}

    def look(done):
        share = min(decay, (1 + done) / (10 + done))
        for name, weight in weights_of(encoder).items():
            expected[name] = share * expected[name] + (1 - share) * weight

    run(encoder, toy_set(48), keep="average", average_decay=decay, watcher=Watcher(look))
    for name, weight in weights_of(encoder).items():
        np.testing.assert_allclose(weight, expected[name], atol=1e-6, err_msg=name)


def test_a_stop_changes_no_bit_of_it(tmp_path):
    def stop(step):
        if step == 9:
            raise StoppedError

    straight, stopped = toy_encoder(), toy_encoder()
    run(straight, toy_set(48), keep="average")
    states = StateDirectory(tmp_path, run_id="x")
    with pytest.raises(StoppedError):
        run(stopped, toy_set(48), keep="average", states=states, save_every_s=0.0, watcher=Watcher(stop))
    stopped = toy_encoder()
    assert run(stopped, toy_set(48), keep="average", states=states, save_every_s=0.0).resumed_at == 8
    for name, weight in weights_of(straight).items():
        np.testing.assert_array_equal(weight, weights_of(stopped)[name], err_msg=name)
