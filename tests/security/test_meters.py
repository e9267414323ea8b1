"""Limits by key: counted, told, and given again."""

from __future__ import annotations

import pytest

from penjing.core.errors import QuotaError
from penjing.security.keys import Limits
from penjing.security.meters import LimitMeter


class Clock:
    def __init__(self, now=1_000_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


def refused(meter):
    with pytest.raises(QuotaError) as caught:
        meter.admit()
    return caught.value.retry_after_s


def test_requests_come_back_at_their_rate():
    clock = Clock()
    meter = LimitMeter(Limits(requests_per_minute=6), clock=clock)
    for _ in range(6):
        meter.admit()
    assert refused(meter) == pytest.approx(10)
    clock.now += 9
    assert refused(meter) == pytest.approx(1)
    clock.now += 1.1
    meter.admit()
    assert refused(meter) > 9
    clock.now += 3600
    for _ in range(6):
        meter.admit()
    refused(meter)


def test_a_clock_that_goes_back_gives_nothing():
    clock = Clock()
    meter = LimitMeter(Limits(requests_per_minute=1), clock=clock)
    meter.admit()
    clock.now -= 1000
    refused(meter)


def test_tokens_are_counted_when_they_are_known_and_end_with_the_day():
    clock = Clock(86_400 * 100 + 3600)
    meter = LimitMeter(Limits(tokens_per_day=10), clock=clock)
    meter.admit()
    meter.charge(9)
    meter.admit()
    meter.charge(9)
    assert refused(meter) == pytest.approx(23 * 3600)
    clock.now += 23 * 3600
    meter.admit()


def test_workers_have_a_share_each_and_at_least_one_request():
    meter = LimitMeter(Limits(requests_per_minute=4), shares=2, clock=Clock())
    meter.admit()
    meter.admit()
    refused(meter)
    small = LimitMeter(Limits(requests_per_minute=1), shares=8, clock=Clock())
    small.admit()
    refused(small)
