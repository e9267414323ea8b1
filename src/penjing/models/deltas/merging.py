"""Adapters folded into the base's weights, from PEFT's two files and without PEFT.

Promise: what ``merge_and_unload`` of PEFT gives, to rounding; a test compares. Sources: Hu et al., "LoRA", arXiv
2106.09685, W + α/r·BA; Liu et al., "DoRA", arXiv 2402.09353, equation 5; Liu et al., "(IA)³", arXiv 2205.05638.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from penjing.core.errors import CheckpointError
from penjing.models.deltas.facts import ADAPTER_CONFIG, Delta, TensorFacts
from penjing.models.weights import read_json

PREFIX = "base_model.model."  # PEFT puts it before every name
MERGED = frozenset({"lora", "dora", "ia3"})
# Settings of LoRA under which the products below would not be what was trained, where they are not empty.
_UNKNOWN = ("rank_pattern", "alpha_pattern", "use_rslora", "lora_bias", "layer_replication")


def merged(delta: Delta, base: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of θ_t that an adapter changes.

    Args:
        delta: of the form ``adapter``.
        base: weights of θ_p.
        stored: the adapter's tensors, their names without :data:`PREFIX`.

    Raises:
        CheckpointError: parts are missing, of other shapes, or with settings that are not known here.
    """
    (scaling, turned), found = _scaling(delta), {}
    for name, facts in delta.facts.tensors.items():
        if facts.how not in MERGED or facts.of is None:
            continue
        module, _, part = name.rpartition(".")
        try:
            found[name] = _merge(base[facts.of], module, part, stored, facts=facts, scaling=scaling, turned=turned)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"the adapter in {delta.path} has not the parts for {name}: {error}",
                expected="the parts that delta.json names",
                do="Copy the delta again.",
            ) from error
    return found


def _merge(
    weight: Tensor,
    module: str,
    part: str,
    stored: Mapping[str, Tensor],
    *,
    facts: TensorFacts,
    scaling: float,
    turned: bool,
) -> Tensor:
    if facts.how == "ia3":
        scale = stored[f"{module}.ia3_l"]
        return weight * (scale if part == "weight" else scale.reshape(weight.shape))
    product = stored[f"{module}.lora_B.weight"] @ stored[f"{module}.lora_A.weight"] * scaling
    whole = weight + (product.T if turned else product)
    if facts.how == "lora":
        return whole
    magnitude = stored[f"{module}.lora_magnitude_vector"]
    scaled: Tensor = (magnitude / torch.linalg.norm(whole, dim=1))[:, None] * whole
    return scaled


def _scaling(delta: Delta) -> tuple[float, bool]:
    """What LoRA's product is multiplied by, and whether it lies the other way (GPT-2's matrices do)."""
    config: Any = read_json(delta.path / ADAPTER_CONFIG, expected="PEFT's adapter_config.json")
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind == "IA3":
        return 1.0, False
    if kind != "LORA" or not config.get("r") or not config.get("lora_alpha"):
        raise CheckpointError(f"an adapter of kind {kind!r} in {delta.path}", expected="LORA, with r and lora_alpha")
    if strange := [name for name in _UNKNOWN if config.get(name)]:
        raise CheckpointError(f"an adapter with {', '.join(strange)} in {delta.path}", expected="none of these")
    return float(config["lora_alpha"]) / float(config["r"]), bool(config.get("fan_in_fan_out"))
