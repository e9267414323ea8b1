from __future__ import annotations

import pytest
from pydantic import ValidationError

from penjing.core.errors import GateRefusal
from penjing.core.nouns import Measurement
from penjing.evaluate import Gate, GateRule, Verdict

ACCURACY = Measurement(value=0.86, low=0.85, high=0.87, n=5000)
DROP = Measurement(value=-0.002, low=-0.006, high=0.002, n=5000)
SIZE = Measurement(value=23.0, n=1, unit="MB")
NOT_A_NUMBER = Measurement(value=float("nan"), n=10)


def judged(rule: dict[str, object]) -> Verdict:
    return Gate.model_validate({"rules": [rule]}).judge(
        {"accuracy": ACCURACY, "size_mb": SIZE, "loss": NOT_A_NUMBER}, {"accuracy": DROP}
    )


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({"metric": "accuracy", "at_least": 0.85}, True),
        ({"metric": "accuracy", "at_least": 0.855}, False),
        ({"metric": "accuracy", "at_least": 0.855, "strictness": "estimate"}, True),
        ({"metric": "accuracy", "at_least": 0.861, "strictness": "estimate"}, False),
        ({"metric": "accuracy", "at_most": 0.87}, True),
        ({"metric": "accuracy", "at_most": 0.865}, False),
        ({"metric": "accuracy", "max_drop": 0.01}, True),
        ({"metric": "accuracy", "max_drop": 0.005}, False),
        ({"metric": "accuracy", "max_drop": 0.005, "strictness": "estimate"}, True),
        ({"metric": "accuracy", "max_rise": 0.002}, True),
        ({"metric": "accuracy", "max_rise": 0.001}, False),
        ({"metric": "size_mb", "at_most": 25}, True),
        ({"metric": "size_mb", "at_most": 20}, False),
        ({"metric": "size_mb", "max_rise": 1}, False),
        ({"metric": "loss", "at_most": 1}, False),
        ({"metric": "loss", "at_least": 0, "strictness": "estimate"}, False),
        ({"metric": "acuracy", "at_least": 0}, False),
    ],
)
def test_rules(rule: dict[str, object], passes: bool) -> None:
    verdict = judged(rule)
    assert verdict.passed is passes
    assert [reason.passed for reason in verdict.reasons] == [passes]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"metric": "accuracy", "at_least": 0.855}, "lower bound 0.85 is not ≥ 0.855"),
        ({"metric": "accuracy", "max_drop": 0.005}, "difference in accuracy .*lower bound -0.006 is not ≥ -0.005"),
        ({"metric": "size_mb", "at_most": 20}, r"estimate \(no interval was measured\) 23"),
        ({"metric": "acuracy", "at_least": 0}, "acuracy was not measured; did you mean 'accuracy'"),
        ({"metric": "size_mb", "max_rise": 1}, "difference in size_mb was not measured; measured: accuracy"),
    ],
)
def test_refusals_say_why(rule: dict[str, object], says: str) -> None:
    with pytest.raises(GateRefusal, match=says):
        judged(rule).enforce()


def test_all_rules_are_judged_and_only_refusals_are_raised() -> None:
    gate = Gate(rules=(GateRule(metric="accuracy", at_least=0.5), GateRule(metric="size_mb", at_most=1)))
    verdict = gate.judge({"accuracy": ACCURACY, "size_mb": SIZE})
    assert [reason.passed for reason in verdict.reasons] == [True, False]
    with pytest.raises(GateRefusal) as refusal:
        verdict.enforce()
    assert "size_mb" in str(refusal.value)
    assert "accuracy" not in str(refusal.value)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_a_pass_is_silent() -> None:
    judged({"metric": "accuracy", "at_least": 0.5}).enforce()


def test_nothing_measured_at_all() -> None:
    verdict = Gate(rules=(GateRule(metric="f1", at_least=0.5),)).judge({})
    assert verdict.reasons[0].text == "f1 was not measured"


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "accuracy"},
        {"metric": "accuracy", "at_least": 0.5, "at_most": 0.6},
        {"metric": "accuracy", "max_drop": -0.1},
        {"metric": "accuracy", "at_least": float("nan")},
        {"metric": "accuracy", "at_last": 0.5},
    ],
)
def test_senseless_rules_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GateRule.model_validate(rule)


def test_a_gate_without_rules_is_no_gate() -> None:
    with pytest.raises(ValidationError):
        Gate(rules=())
