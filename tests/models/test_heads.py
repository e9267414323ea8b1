from __future__ import annotations

import numpy as np
import pytest
import torch

from models.tiny import random_sequences, tiny_model
from penjing.core.nouns import Task
from penjing.models.families import FAMILIES
from penjing.models.heads import rescale_outputs
from penjing.models.packed import PackedEncoder, PackedTensors
from penjing.tokens import pack_flat


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_outputs_are_rescaled_by_the_last_layer_alone(family):
    model = tiny_model(family, Task.TEXT_CLASSIFICATION).eval()
    batch = PackedTensors.of(pack_flat(random_sequences([5, 9, 2])))
    with torch.no_grad():
        before = PackedEncoder(model)(batch).numpy()
        rescale_outputs(model, factor=40.0, shift=5000.0)
        after = PackedEncoder(model)(batch).numpy()
    np.testing.assert_allclose(after, 40 * before + 5000, rtol=1e-6)
