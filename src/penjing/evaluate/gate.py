"""Gates: rules on measurements that say pass or refuse, with the reason.

Promise: the decision rests on the cautious end of the 95 % interval, so that a pass is a claim the
data supports and not a lucky draw. Trade: with few examples a good candidate may be refused; measure
on more, or say ``strictness: estimate`` and know what is given up.

What is compared, under ``strictness: interval``:

======== ===================================================== ===============
rule     compared                                              passes when
======== ===================================================== ===============
at_least lower bound of the measurement                        ≥ the limit
at_most  upper bound of the measurement                        ≤ the limit
max_drop lower bound of the paired difference (candidate −
         baseline)                                             ≥ −limit
max_rise upper bound of the paired difference                  ≤ the limit
======== ===================================================== ===============

Under ``strictness: estimate`` the estimate takes the bound's place. A measurement without an
interval (a file size, say) is judged by its estimate, and the reason says so. What was not
measured, or is NaN, is refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.core.errors import GateRefusal
from penjing.core.nouns import Frozen, Measurement

Limit = Literal["at_least", "at_most", "max_drop", "max_rise"]
_LIMITS: tuple[Limit, ...] = ("at_least", "at_most", "max_drop", "max_rise")


class GateRule(Frozen):
    """One limit on one metric.

    Attributes:
        metric: the name it was measured under.
        at_least, at_most: limits on the metric itself.
        max_drop, max_rise: limits on how far the candidate may fall below, or rise above, its
            baseline on the same examples; in the metric's unit, not relative.
        strictness: whether the interval's bound or the estimate decides.
    """

    metric: str
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    max_drop: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_rise: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    strictness: Literal["interval", "estimate"] = "interval"

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        given = [name for name in _LIMITS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_LIMITS)}; came: {', '.join(given) or 'none'}")
        return self

    @property
    def limit(self) -> tuple[Limit, float]:
        """The one limit that was given, with its name."""
        name = next(name for name in _LIMITS if getattr(self, name) is not None)
        return name, float(getattr(self, name))


class Reason(Frozen):
    """Why one rule passed or refused, in a sentence."""

    metric: str
    passed: bool
    text: str


class Verdict(Frozen):
    """The gate's answer: one reason for each rule, in the rules' order."""

    passed: bool
    reasons: tuple[Reason, ...]

    def enforce(self) -> None:
        """Return if the gate passed.

        Raises:
            GateRefusal: it did not; the message holds the reason of every rule that refused.
        """
        if self.passed:
            return
        refusals = [reason.text for reason in self.reasons if not reason.passed]
        raise GateRefusal(
            "the gate refused: " + "; ".join(refusals),
            expected="all rules to pass",
            do="Improve the candidate, or measure on more examples if only an interval is too wide.",
        )


class Gate(Frozen):
    """Rules that must all pass."""

    rules: tuple[GateRule, ...] = Field(min_length=1)

    def judge(
        self, measurements: Mapping[str, Measurement], differences: Mapping[str, Measurement] | None = None
    ) -> Verdict:
        """Hold the candidate's measurements against the rules.

        Args:
            measurements: metric → what the candidate measured.
            differences: metric → paired difference candidate − baseline, for max_drop and max_rise.
        """
        reasons = tuple(_judge(rule, measurements, differences or {}) for rule in self.rules)
        return Verdict(passed=all(reason.passed for reason in reasons), reasons=reasons)


def _judge(rule: GateRule, measurements: Mapping[str, Measurement], differences: Mapping[str, Measurement]) -> Reason:
    name, limit = rule.limit
    paired = name in ("max_drop", "max_rise")
    subject = f"difference in {rule.metric}" if paired else rule.metric
    measured = (differences if paired else measurements).get(rule.metric)
    if measured is None:
        known = differences if paired else measurements
        return Reason(
            metric=rule.metric, passed=False, text=f"{subject} was not measured{_nearest(rule.metric, known)}"
        )
    floor = name in ("at_least", "max_drop")
    value, which = _deciding(measured, rule.strictness, floor=floor)
    bound = -limit if name == "max_drop" else limit
    passed = value >= bound if floor else value <= bound  # NaN compares false both ways
    relation = "≥" if floor else "≤"
    text = f"{subject} {measured}: {which} {value:.4g} {'is' if passed else 'is not'} {relation} {bound:.4g}"
    return Reason(metric=rule.metric, passed=passed, text=text)


def _deciding(measured: Measurement, strictness: str, *, floor: bool) -> tuple[float, str]:
    """The number that decides, and what to call it."""
    if strictness == "estimate" or math.isnan(measured.value):
        return measured.value, "estimate"
    bound = measured.low if floor else measured.high
    if bound is None:
        return measured.value, "estimate (no interval was measured)"
    return bound, "lower bound" if floor else "upper bound"


def _nearest(metric: str, known: Mapping[str, Measurement]) -> str:
    near = difflib.get_close_matches(metric, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; measured: {', '.join(sorted(known))}" if known else ""
