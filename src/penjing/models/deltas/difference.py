"""A delta as the difference of two checkpoints: written, and given back.

Promise of the exact form: θ_t comes back bit for bit, and from θ_t so does θ_p. A low-bit form says what it loses.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core.errors import CheckpointError, UsageError
from penjing.models.deltas.coding import LowBit, from_low_bit, from_ulps, has_ulps, to_low_bit, to_ulps
from penjing.models.deltas.facts import (
    ADAPTER_FILE,
    DIFFERENCE_FILE,
    OWN_FILES,
    BaseFacts,
    Delta,
    DeltaError,
    DeltaFacts,
    Form,
    Found,
    How,
    TensorFacts,
    files_of,
    write_facts,
)
from penjing.models.deltas.merging import MERGED, PREFIX, merged
from penjing.models.deltas.tensors import Tensors, digest_of, match_names, read_tensors, read_weights, write_tensors

_SCALE = ":scale"


@dataclass(frozen=True, slots=True)
class Base:
    """θ_p as it was found.

    Attributes:
        name: what the user calls it.
        digest: over config, weights and tokenizer.
        config: its ``config.json``.
        tensors: its weights.
    """

    name: str
    digest: str
    config: Mapping[str, Any]
    tensors: Tensors

    def facts(self, used: Mapping[str, str | None]) -> BaseFacts:
        """What a delta keeps of it, given which of its tensors θ_t goes back to."""
        weights = digest_of({name: self.tensors[name] for name in used.values() if name is not None})
        return BaseFacts(name=self.name, digest=self.digest, weights=weights, config=dict(self.config))


def read_base(found: Found) -> Base:
    """Read a checkpoint as the base of a delta."""
    return Base(found.source, found.digest, found.config, read_weights(found.path))


def write_difference(tuned: Tensors, base: Base, target: Path, *, form: Form = "exact") -> Delta:
    """Write the difference into ``target``, where config and tokenizer of θ_t lie already.

    Args:
        tuned: weights of θ_t.
        base: θ_p.
        target: a directory.
        form: how; not ``adapter``.

    Raises:
        CheckpointError: θ_t has nothing in common with the base, or no finite weights where they are to be rounded.
        ResourceError: the disk refused it.
    """
    names = match_names(tuned, base.tensors)
    if not any(names.values()):
        raise CheckpointError(
            "no weight of the fine-tuned checkpoint has its like in the base",
            expected=f"a fine-tuning of {base.name}",
            do="Name the checkpoint that training started from.",
        )
    losses, facts = _Losses(), dict[str, TensorFacts]()
    stored, given = dict[str, Tensor](), dict[str, Tensor]()
    for name, tensor in tuned.items():
        of = names[name]
        how, parts = _code(tensor, None if of is None else base.tensors[of], form, losses)
        stored |= {name + suffix: part for suffix, part in parts.items()}
        names[name] = of = None if how == "whole" else of
        facts[name] = TensorFacts(how=how, of=of, shape=tuple(tensor.shape), dtype=str(tensor.dtype)[6:])
        given[name] = tensor if form == "exact" else _decode(name, facts[name], stored, base.tensors)
    write_tensors(stored, target / DIFFERENCE_FILE)
    told = DeltaFacts(
        form=form,
        base=base.facts(names),
        weights=digest_of(given),
        error=None if form == "exact" else losses.told(),
        tensors=facts,
        files=files_of(target),
    )
    return write_facts(target, told)


def tensors_of(delta: Delta, base: Tensors) -> dict[str, Tensor]:
    """The weights of θ_t, given θ_p's.

    Raises:
        CheckpointError: the base's tensors are not of the delta's shapes, or what comes out is not what went in.
    """
    stored = _stored(delta)
    _refuse_unlike(delta, base)
    given = merged(delta, base, stored) if delta.facts.form == "adapter" else {}
    for name, facts in delta.facts.tensors.items():
        if facts.how not in MERGED:
            given[name] = _decode(name, facts, stored, base)
    if delta.facts.form != "adapter" and digest_of(given) != delta.facts.weights:
        raise CheckpointError(
            f"the weights that {delta.path} gives are not those it was made from",
            expected=f"weights with digest {delta.facts.weights[:12]}…",
            do="Copy delta and base again.",
        )
    return given


def base_tensors_of(delta: Delta, tuned: Tensors) -> dict[str, Tensor]:
    """The weights of θ_p, given exactly θ_t's: what :func:`tensors_of` did, undone. No base is needed.

    Raises:
        UsageError: the delta is not exact, or the weights are not those of its θ_t.
    """
    if delta.facts.form != "exact":
        raise UsageError(
            f"{delta.path} is of the form {delta.facts.form!r}",
            expected="an exact delta: only that can be taken off again bit for bit",
            do="Take the base itself, or subtract the delta: penjing delta subtract.",
        )
    if digest_of(tuned) != delta.facts.weights:
        raise UsageError(
            f"the checkpoint is not the one that {delta.path} leads to",
            expected=f"weights with digest {delta.facts.weights[:12]}…",
            do="To take a delta off another model: penjing delta subtract, with the base.",
        )
    stored = read_tensors(delta.path / DIFFERENCE_FILE)
    found = {}
    for name, facts in delta.facts.tensors.items():
        if facts.of is not None:
            found[facts.of] = tuned[name] if facts.how == "same" else from_ulps(stored[name], tuned[name], back=True)
    if digest_of(found) != delta.facts.base.weights:
        raise CheckpointError(f"what is left without {delta.path} is not its base", do="Copy the delta again.")
    return found


def copy_around(source: Path, target: Path) -> None:
    """Copy what lies around a delta, config and tokenizer, but not the delta itself."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source)
        if file.is_file() and str(name) not in OWN_FILES:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)


class _Losses:
    """What rounding lost so far."""

    def __init__(self) -> None:
        self._largest, self._lost, self._whole = 0.0, 0.0, 0.0

    def take(self, difference: Tensor, kept: Tensor) -> None:
        lost = difference - kept
        self._largest = max(self._largest, float(lost.abs().max()))
        self._lost += float(lost.double().square().sum())
        self._whole += float(difference.double().square().sum())

    def told(self) -> DeltaError:
        return DeltaError(largest=self._largest, relative=(self._lost / self._whole) ** 0.5 if self._whole else 0.0)


def _code(tuned: Tensor, base: Tensor | None, form: Form, losses: _Losses) -> tuple[How, dict[str, Tensor]]:
    """How a tensor is written, and its parts by the suffix of their names."""
    if base is None:
        return "whole", {"": tuned}
    if torch.equal(_bytes(tuned), _bytes(base)):  # −0 equals 0, NaN does not equal itself: only bits tell
        return "same", {}
    if not has_ulps(tuned):
        return "whole", {"": tuned}
    if form == "exact" or form == "adapter" or tuned.dim() < 2:  # vectors are few, and count for much
        return "ulps", {"": to_ulps(tuned, base)}
    difference = (tuned.float() - base.float()).reshape(len(tuned), -1)
    if not bool(torch.isfinite(difference).all()):
        raise CheckpointError("weights that are no finite numbers", expected="finite ones", do="Use the exact form.")
    codes, scale = to_low_bit(difference, form)
    losses.take(difference, from_low_bit(codes, scale, form, shape=tuple(difference.shape)))
    return form, {"": codes, _SCALE: scale}


def _decode(name: str, facts: TensorFacts, stored: Tensors, base: Tensors) -> Tensor:
    try:
        if facts.how == "whole" or facts.of is None:
            return stored[name]
        if facts.how == "same":
            return base[facts.of]
        if facts.how == "ulps":
            return from_ulps(stored[name], base[facts.of])
        form: LowBit = facts.how  # type: ignore[assignment]
        shape = (facts.shape[0], base[facts.of][0].numel())
        kept = from_low_bit(stored[name], stored[name + _SCALE], form, shape=shape)
    except KeyError as error:
        raise CheckpointError(f"the delta lacks the tensor {error}", expected="all that delta.json names") from error
    return (base[facts.of].float() + kept.reshape(facts.shape)).to(base[facts.of].dtype)


def _stored(delta: Delta) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name in delta.facts.files:
        if name in (DIFFERENCE_FILE, ADAPTER_FILE):
            stored = read_tensors(delta.path / name)
            found |= {tensor.removeprefix(PREFIX): value for tensor, value in stored.items()}
    return found


def _refuse_unlike(delta: Delta, base: Tensors) -> None:
    for name, facts in delta.facts.tensors.items():
        if facts.of is None:
            continue
        found = base.get(facts.of)
        if found is None or tuple(found.shape) != facts.shape or str(found.dtype)[6:] != facts.dtype:
            what = "lacks it" if found is None else f"has one of shape {tuple(found.shape)}, {str(found.dtype)[6:]}"
            raise CheckpointError(
                f"{delta.path} changes {name} of shape {facts.shape}, {facts.dtype}; the base {what}",
                expected=f"the base it was made from, {delta.facts.base.name}",
            )


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
