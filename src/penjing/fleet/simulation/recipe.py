"""What a simulation is told: the recipe of ``penjing simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.core.nouns import Frozen
from penjing.fleet.policies import POLICY_NAMES, PolicyName


class TrafficRecipe(Frozen):
    """When requests come, and how long they are.

    Attributes:
        trace: JSON lines of ``{"at_s": …, "tokens": …}``, and ``"key"`` or ``"prompt"`` where there is one; in order of
            time. None makes traffic up by what follows.
        load: how much of what the replicas can do together is asked for; 0.8 is 80 %.
        per_s: requests a second on average, instead of ``load``.
        arrivals: ``poisson`` is at random; ``bursts`` as well, by turns many and few; ``even`` is at equal distances.
        burst_s: how long a burst is, in seconds; the quiet after it is four times as long.
        burst_times: how many times as many requests come in a burst as in the quiet.
        lengths: of requests: ``equal``, ``exponential``, ``lognormal`` (as texts are) or ``pareto`` (few that are most
            of the work).
        mean_tokens: of a request.
        skew: for ``lognormal`` the deviation of the logarithm, for ``pareto`` the exponent.
        keys: how many keys there are, some asked for much more than others (Zipf's law).
        prefixes: how many beginnings of prompts are shared, by the same law; 0 shares none.
    """

    trace: Path | None = None
    load: float = Field(default=0.8, gt=0)
    per_s: float | None = Field(default=None, gt=0)
    arrivals: Literal["poisson", "bursts", "even"] = "poisson"
    burst_s: float = Field(default=5.0, gt=0)
    burst_times: float = Field(default=4.0, ge=1)
    lengths: Literal["equal", "exponential", "lognormal", "pareto"] = "lognormal"
    mean_tokens: float = Field(default=64.0, gt=0)
    skew: float = Field(default=1.5, gt=0)
    keys: int = Field(default=1000, ge=1)
    prefixes: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_a_mean(self) -> Self:
        if self.lengths == "pareto" and self.skew <= 1:
            raise ValueError("lengths by pareto have a mean only with a skew above 1")
        return self


class SimulateRecipe(Frozen):
    """A fleet to try.

    Attributes:
        policies: which are compared, on the same traffic.
        replicas: how many.
        speeds: of each beside the first; 1 for those not named.
        instances: requests that a replica works on at one time; the others wait in it.
        base_ms: time of a request of no tokens.
        ms_per_token: and of each token.
        noise: deviation of the logarithm of that time; 0 is none.
        known_tokens: how far the gateway's estimate of the tokens is right: 1 is exactly, 0 not at all.
        cached: share of the work that a replica saves on a prompt whose beginning it has read.
        max_in_flight: requests at one replica at one time; those beyond wait in the gateway.
        traffic: what is asked.
        requests: how many, where traffic is made up.
        warm: of those, how many at first are not counted.
        seed: the same one gives the same figures.
    """

    policies: tuple[PolicyName, ...] = POLICY_NAMES
    replicas: int = Field(default=4, ge=1, le=10_000)
    speeds: tuple[float, ...] = ()
    instances: int = Field(default=1, ge=1)
    base_ms: float = Field(default=2.0, ge=0)
    ms_per_token: float = Field(default=0.1, ge=0)
    noise: float = Field(default=0.0, ge=0)
    known_tokens: float = Field(default=1.0, ge=0, le=1)
    cached: float = Field(default=0.0, ge=0, le=1)
    max_in_flight: int | None = Field(default=None, ge=1)
    traffic: TrafficRecipe = TrafficRecipe()
    requests: int = Field(default=20_000, ge=100)
    warm: int = Field(default=1000, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.base_ms + self.ms_per_token <= 0:
            raise ValueError("base_ms and ms_per_token are both 0: nothing takes any time")
        if any(speed <= 0 for speed in self.speeds) or len(self.speeds) > self.replicas:
            raise ValueError("speeds: at most one for each replica, each above 0")
        if self.warm >= self.requests and self.traffic.trace is None:
            raise ValueError("warm: fewer than requests, or nothing is counted")
        return self

    @property
    def mean_ms(self) -> float:
        """Time of a request of mean length at speed 1."""
        return self.base_ms + self.ms_per_token * self.traffic.mean_tokens

    @property
    def per_s(self) -> float:
        """Requests a second on average, of traffic that is made up."""
        together = sum(self.speeds) + self.replicas - len(self.speeds)
        return self.traffic.per_s or self.traffic.load * together * self.instances * 1000 / self.mean_ms
