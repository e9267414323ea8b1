"""Every policy by its name in recipes. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from penjing.fleet.policies.base import Policy
from penjing.fleet.policies.chance import LeastRequest, RandomChoice
from penjing.fleet.policies.hashing import ConsistentHash
from penjing.fleet.policies.prefix import PrefixAware
from penjing.fleet.policies.turns import RoundRobin, SmoothWeightedRoundRobin
from penjing.fleet.policies.work import LeastWork

PolicyName = Literal[
    "round-robin", "weighted-round-robin", "random", "least-request", "least-work", "consistent-hash", "prefix-aware"
]
POLICY_NAMES: tuple[PolicyName, ...] = get_args(PolicyName)


def policy_named(name: PolicyName, *, seed: int | None = None) -> Policy:
    """A policy with nothing behind it yet.

    Args:
        name: which.
        seed: for those that draw lots.
    """
    makers: dict[PolicyName, Callable[[], Policy]] = {
        "round-robin": RoundRobin,
        "weighted-round-robin": SmoothWeightedRoundRobin,
        "random": lambda: RandomChoice(seed=seed),
        "least-request": lambda: LeastRequest(seed=seed),
        "least-work": LeastWork,
        "consistent-hash": ConsistentHash,
        "prefix-aware": PrefixAware,
    }
    return makers[name]()
