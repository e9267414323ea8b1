"""Policies against the sequences, laws and bounds of their sources."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.fleet.policies import POLICY_NAMES, Load, Work, blocks_of, policy_named
from penjing.fleet.policies.chance import LeastRequest, RandomChoice
from penjing.fleet.policies.hashing import ConsistentHash
from penjing.fleet.policies.prefix import BLOCK_BYTES, PrefixAware

ANY = Work()


def loads(*weights):
    return [Load(name, weight=weight) for name, weight in zip("abcdefghij", weights, strict=False)]


def sequence(policy, among, count):
    return "".join(policy.choose(ANY, among).name for _ in range(count))


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [
        ((5, 1, 1), "aabacaa" * 2),  # the example of nginx's own commit 52327e0627f4
        ((1, 1, 1), "abcabc"),
        ((4, 2, 1), "abacaba" * 2),
        ((3, 1), "aabaaaba"[:8]),
    ],
)
def test_smooth_weighted_round_robin_is_nginxs_sequence(weights, chosen):
    assert sequence(policy_named("weighted-round-robin"), loads(*weights), len(chosen)) == chosen


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_round_of_weighted_turns_gives_each_its_weight(weights):
    among, policy = loads(*weights), policy_named("weighted-round-robin")
    for _ in range(2):
        assert Counter(sequence(policy, among, sum(weights))) == {load.name: load.weight for load in among}


def test_round_robin_takes_turns_whoever_is_missing():
    among, policy = loads(1, 1, 1), policy_named("round-robin")
    assert sequence(policy, among, 4) == "abca"
    assert set(sequence(policy, among[:2], 4)) == {"a", "b"}


@settings(deadline=None)
@given(st.sampled_from(POLICY_NAMES), st.lists(st.floats(0.1, 9), min_size=1, max_size=8), st.integers(0, 9))
def test_every_policy_chooses_one_of_those_offered(name, weights, seed):
    among, policy, random = loads(*weights), policy_named(name, seed=seed), Random(seed)
    for number in range(30):
        offered = random.sample(among, random.randint(1, len(among)))
        work = Work(random.expovariate(0.1) + 0.1, bytes([number]), blocks_of(b"x" * 10 * number))
        chosen = policy.choose(work, offered)
        assert chosen in offered
        chosen.take(work, now=number)
        if random.random() < 0.5:
            chosen.answered(work, now=number + random.random())


def test_random_follows_the_weights():
    counted = Counter(sequence(RandomChoice(seed=1), loads(3, 1), 8000))
    assert counted["a"] / counted["b"] == pytest.approx(3, rel=0.1)


def test_the_power_of_two_choices_keeps_the_longest_queue_short():
    """Balls into bins: log n / log log n for one choice, log log n for two (Mitzenmacher 2001)."""

    def longest(policy):
        among = [Load(str(number)) for number in range(512)]
        for _ in among:
            policy.choose(ANY, among).take(ANY, now=0)
        return max(load.in_flight for load in among)

    assert longest(LeastRequest(seed=3)) <= math.log2(math.log2(512)) + 1
    assert longest(RandomChoice(seed=3)) >= 4


def test_least_request_divides_unequal_weights_by_what_is_under_way():
    among = loads(2, 1)
    assert Counter(sequence(LeastRequest(seed=0), among, 300)) == {"a": 200, "b": 100}
    for _ in range(3):
        among[0].take(ANY, now=0)  # 2 / (3 + 1) against 1 / 1
    counted = Counter(sequence(LeastRequest(seed=0), among, 300))
    assert counted == {"a": 100, "b": 200}


def test_least_work_counts_tokens_and_not_requests():
    among, policy = loads(1, 1), policy_named("least-work")
    among[0].take(Work(1000), now=0)
    for _ in range(5):
        among[1].take(Work(10), now=0)
    assert sequence(policy, among, 3) == "bbb"


def test_least_work_learns_who_is_fast():
    among, policy = loads(1, 1), policy_named("least-work")
    for load, seconds in zip(among, (1.0, 0.1), strict=True):
        load.take(Work(100), now=0)
        load.answered(Work(100), now=seconds)
    assert among[0].seconds_per_token == pytest.approx(0.01)
    for _ in range(11):
        policy.choose(Work(100), among).take(Work(100), now=5)
    assert [load.in_flight for load in among] == [1, 10]


def test_the_pace_of_a_replica_is_no_slower_for_what_waits_in_it():
    """Ten at once, one after another of a second each: a second a piece, though the last one takes ten."""
    load = Load("a")
    for _ in range(10):
        load.take(Work(5), now=100)
    for second in range(10):
        load.answered(Work(5), now=101 + second)
    assert load.seconds_per_token == pytest.approx(1 / 5)
    assert (load.in_flight, load.tokens) == (0, 0)


def test_idle_time_is_not_busy_time():
    load = Load("a")
    for began in (0, 1000):
        load.take(Work(10), now=began)
        load.answered(Work(10), now=began + 1)
    assert load.seconds_per_token == pytest.approx(0.1)


def test_one_slow_answer_condemns_nobody_for_ever():
    among, policy = loads(1, 1), policy_named("least-work")
    for load, seconds in zip(among, (9.0, 0.1), strict=True):
        load.take(Work(100), now=0)
        load.answered(Work(100), now=seconds)
    chosen = Counter()
    for number in range(400):
        load = policy.choose(Work(100), among)
        load.take(Work(100), now=10 + number)
        load.answered(Work(100), now=10.1 + number)
        chosen[load.name] += 1
    assert chosen["a"] >= 20
    assert among[0].seconds_per_token < 1.5 * among[1].seconds_per_token


def test_whoever_starts_slowly_gets_less():
    among, policy = loads(1, 1), policy_named("least-work")
    among[1].share = 0.1
    chosen = Counter()
    for _ in range(22):
        load = policy.choose(Work(10), among)
        load.take(Work(10), now=0)
        chosen[load.name] += 1
    assert chosen["b"] == 2


KEYS = [f"user {number}".encode() for number in range(400)]


def homes(policy, among):
    return {key: policy.choose(Work(key=key), among).name for key in KEYS}


def test_only_the_keys_of_a_replica_that_goes_move():
    among, policy = loads(1, 1, 1, 1), ConsistentHash()
    before, after = homes(policy, among), homes(policy, among[:3])
    assert all(after[key] == home for key, home in before.items() if home != "d")
    assert all(len(KEYS) / 4 * 0.6 < count < len(KEYS) / 4 * 1.5 for count in Counter(before.values()).values())
    assert homes(policy, among) == before


@given(st.lists(st.sampled_from(KEYS[:3]), min_size=1, max_size=60), st.floats(1.05, 2))
def test_no_replica_has_more_than_its_bounded_share(keys, bound):
    among, policy = loads(1, 1, 1, 1), ConsistentHash(bound=bound)
    for count, key in enumerate(keys, start=1):
        policy.choose(Work(key=key), among).take(ANY, now=0)
        assert max(load.in_flight for load in among) <= math.ceil(bound * count / 4)


PROMPTS = [
    bytes([65 + group]) * BLOCK_BYTES * 8 + bytes([97 + turn]) * BLOCK_BYTES for group in range(4) for turn in range(6)
]


def test_prompts_that_begin_alike_go_to_the_same_replica():
    among, policy = loads(1, 1, 1, 1), PrefixAware()
    went = {}
    for turn in range(6):
        for group in range(4):
            work = Work(100, prefix=blocks_of(PROMPTS[6 * group + turn]))
            load = policy.choose(work, among)
            went.setdefault(group, set()).add(load.name)
            load.take(work, now=0)
            load.lost(work)
    assert all(len(names) == 1 for names in went.values())


def test_a_shared_prefix_is_not_worth_any_wait():
    among, policy = loads(1, 1), PrefixAware()
    work = Work(100, prefix=blocks_of(PROMPTS[0]))
    for _ in range(10):
        policy.choose(work, among).take(work, now=0)
    assert sorted(load.in_flight for load in among) == [5, 5]


def test_what_was_read_long_ago_is_forgotten():
    policy, among = PrefixAware(remembered=9), loads(1)
    policy.choose(Work(prefix=blocks_of(PROMPTS[0])), among)
    assert policy.known("a", blocks_of(PROMPTS[1])) == pytest.approx(8 / 9)
    policy.choose(Work(prefix=blocks_of(PROMPTS[6])), among)
    assert policy.known("a", blocks_of(PROMPTS[1])) == 0


@given(st.binary(max_size=600), st.binary(max_size=600), st.binary(max_size=600))
def test_equal_beginnings_have_equal_blocks_and_no_others(start, one, other):
    first, second = blocks_of(start + one), blocks_of(start + other)
    common = len(start) // BLOCK_BYTES
    assert first[:common] == second[:common]
    same = sum(a == b for a, b in zip(first, second, strict=False))
    assert (start + one)[: same * BLOCK_BYTES] == (start + other)[: same * BLOCK_BYTES]
