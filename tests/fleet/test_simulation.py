"""The simulator against queueing theory: where there is a formula, it finds it."""

from __future__ import annotations

import json
import math

import pytest

from penjing.core.errors import DataError
from penjing.fleet.simulation import SimulateRecipe, arrivals_of, percentile, read_trace, simulate


def recipe_for(**told):
    told.setdefault("requests", 20_000)
    return SimulateRecipe.model_validate(told)


def tried(recipe, *names):
    traffic = arrivals_of(recipe)
    return [simulate(recipe, name, traffic).facts() for name in names or recipe.policies]


TRAFFIC = {"lengths": "exponential", "mean_tokens": 100, "load": 0.8}
EXPONENTIAL = {"base_ms": 0, "ms_per_token": 0.1, "traffic": TRAFFIC}


def test_one_replica_is_the_queue_m_m_1():
    """Mean 1 / (μ - λ), and the time in the system is exponential: p99 is ln 100 times the mean."""
    (found,) = tried(recipe_for(**EXPONENTIAL, replicas=1, requests=60_000, seed=4), "random")
    assert found["mean_ms"] == pytest.approx(10 / (1 - 0.8), rel=0.15)
    assert found["p99_ms"] == pytest.approx(50 * math.log(100), rel=0.2)
    assert found["busiest"] == pytest.approx(0.8, rel=0.05)


def test_random_choice_is_so_many_queues_of_one():
    (found,) = tried(recipe_for(**EXPONENTIAL, replicas=4, requests=60_000, seed=1), "random")
    assert found["mean_ms"] == pytest.approx(50, rel=0.15)


def test_a_line_in_the_gateway_is_the_queue_m_m_c():
    """With one request at a replica at a time, the mean wait is Erlang's C over c μ - λ."""
    (found,) = tried(recipe_for(**EXPONENTIAL, replicas=4, max_in_flight=1, requests=60_000, seed=2), "round-robin")
    offered, servers = 3.2, 4
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    erlang = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    assert found["wait_ms"] == pytest.approx(erlang * 10 / (servers - offered), rel=0.15)


def test_the_policies_stand_in_the_order_of_theory():
    """At random, by turns, the better of two, all looked at; and by work, which knows more, best of all."""
    told = {**EXPONENTIAL, "replicas": 8, "requests": 20_000, "traffic": {"lengths": "lognormal", "load": 0.8}}
    found = {one["policy"]: one["p99_ms"] for one in tried(recipe_for(**told))}
    assert found["least-work"] < found["least-request"] < found["round-robin"] < found["random"]
    assert found["round-robin"] > 2 * found["least-work"]


def test_speeds_are_learnt():
    told = {**EXPONENTIAL, "replicas": 4, "speeds": (4, 1, 1, 1)}
    by_turns, by_work = tried(recipe_for(**told), "round-robin", "least-work")
    assert by_turns["p99_ms"] > 5 * by_work["p99_ms"]  # the slow ones get more than they can do


def test_work_that_is_not_known_helps_less():
    told = {**EXPONENTIAL, "replicas": 4, "traffic": {"lengths": "lognormal", "skew": 2, "load": 0.8}}
    (known,), (unknown,) = (tried(recipe_for(**told, known_tokens=share), "least-work") for share in (1, 0))
    assert known["p99_ms"] < unknown["p99_ms"]


def test_shared_beginnings_are_read_once_where_they_are_remembered():
    traffic = {"prefixes": 2000, "load": 0.7, "lengths": "equal", "mean_tokens": 400}
    told = {"replicas": 4, "cached": 0.9, "base_ms": 0, "traffic": traffic, "requests": 8000}
    by_turns, aware = tried(recipe_for(**told), "round-robin", "prefix-aware")
    assert aware["busy_s"] < by_turns["busy_s"]


def test_bursts_have_the_same_mean_and_a_longer_tail():
    told = {**EXPONENTIAL, "replicas": 4}
    calm = recipe_for(**told)
    bursts = recipe_for(**told | {"traffic": {**TRAFFIC, "arrivals": "bursts", "burst_s": 0.5}})
    assert arrivals_of(bursts)[-1].at_s == pytest.approx(arrivals_of(calm)[-1].at_s, rel=0.1)
    assert tried(bursts, "least-work")[0]["p99_ms"] > tried(calm, "least-work")[0]["p99_ms"]


def test_the_same_seed_gives_the_same_figures_and_another_others():
    recipe = recipe_for(requests=3000, noise=0.3)
    assert tried(recipe) == tried(recipe)
    assert tried(recipe) != tried(recipe.model_copy(update={"seed": 1}))


def test_a_recorded_trace_is_replayed(tmp_path):
    lines = [{"at_s": 0, "tokens": 10}, {"at_s": 0.001, "tokens": 1, "key": "k", "prompt": "p" * 300}]
    (tmp_path / "trace").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    traffic = {"trace": str(tmp_path / "trace")}
    recipe = recipe_for(replicas=1, base_ms=0, ms_per_token=1, warm=0, traffic=traffic)
    assert simulate(recipe, "round-robin", arrivals_of(recipe)).latencies_ms == pytest.approx((10, 10))
    assert len(arrivals_of(recipe)[1].prefix) == 2


@pytest.mark.parametrize(
    "content",
    ["", "{", '{"at_s": 1}', '{"at_s": 1, "tokens": 0}', '{"at_s": 2, "tokens": 1}\n{"at_s": 1, "tokens": 1}'],
)
def test_a_trace_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "trace").write_text(content)
    with pytest.raises(DataError, match="trace"):
        read_trace(tmp_path / "trace")


def test_percentiles_are_values_that_occurred():
    assert [percentile(range(1, 101), percent) for percent in (50, 99, 99.9)] == [50, 99, 100]
