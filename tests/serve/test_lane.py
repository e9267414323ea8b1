"""A lane gives exactly one reply to each request, whatever befalls its batch mates."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penjing.core.errors import DeadlineError, InvalidRequestError, NotReadyError, OverloadedError, ServingError
from penjing.serve.lane import Lane
from serve.doubles import POISON, SLOW, FakeEngine, halves, ids

FAR = 30.0


@asynccontextmanager
async def lane_of(engine=None, *, batch_tokens=8, max_queue_tokens=10_000):
    lane = Lane(engine or FakeEngine(), name="m/1", batch_tokens=batch_tokens, max_queue_tokens=max_queue_tokens)
    try:
        yield lane
    finally:
        await asyncio.to_thread(lane.close)


async def ask(lane, sequences, *, within_s=FAR):
    permit = lane.admit(sum(map(len, sequences)))
    try:
        work = await lane.answer(sequences, permit=permit, deadline=time.monotonic() + within_s)
        return work.future.result()
    finally:
        lane.release(permit)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_answers_in_order_over_several_pieces():
    async def main():
        async with lane_of() as lane:
            sequences = [ids(*range(6, 6 + length)) for length in (3, 9, 1, 5, 7, 2)]
            outputs = await ask(lane, sequences)
            np.testing.assert_array_equal(outputs, halves([one.ids.tolist() for one in sequences]))
            assert lane.queue_tokens == 0

    asyncio.run(main())


def test_what_waits_together_runs_together():
    async def main():
        engine = FakeEngine(instances=1)
        engine.gate.clear()
        async with lane_of(engine, batch_tokens=100) as lane:
            first = asyncio.create_task(ask(lane, [ids(7)]))
            await until(lambda: lane.queue_tokens == 0 and lane._open)
            rest = [asyncio.create_task(ask(lane, [ids(7, 8 + number)])) for number in range(5)]
            await until(lambda: lane.queue_tokens == 10)
            engine.gate.set()
            await asyncio.gather(first, *rest)
        assert engine.batches == [1, 5]

    asyncio.run(main())


def test_overload_is_refused_at_once_and_says_when_to_come_back():
    async def main():
        engine = FakeEngine(instances=1)
        engine.gate.clear()
        async with lane_of(engine, max_queue_tokens=10) as lane:
            tasks = [asyncio.create_task(ask(lane, [ids(7)]))]
            await until(lambda: lane.queue_tokens == 0 and lane._open)
            tasks.append(asyncio.create_task(ask(lane, [ids(7)])))
            await until(lambda: lane.queue_tokens == 1)
            with pytest.raises(OverloadedError) as caught:
                lane.admit(10)
            assert 0 < caught.value.retry_after_s < 10
            engine.gate.set()
            await asyncio.gather(*tasks)

    asyncio.run(main())


@pytest.mark.parametrize(("is_taken", "waiting"), [(True, False), (False, True)])
def test_the_deadline_holds_while_waiting_and_while_running(is_taken, waiting):
    async def main():
        engine = FakeEngine(instances=1)
        engine.gate.clear()
        async with lane_of(engine) as lane:
            before = [] if is_taken else [asyncio.create_task(ask(lane, [ids(7)]))]
            await until(lambda: len(lane._open) == len(before))
            with pytest.raises(DeadlineError) as caught:
                await ask(lane, [ids(8)], within_s=0.02)
            assert caught.value.waiting is waiting
            engine.gate.set()
            await asyncio.gather(*before)
            await asyncio.sleep(0.02)
        assert sum(engine.batches) == 1  # the late one was never run after its deadline

    asyncio.run(main())


def test_closing_answers_those_who_wait():
    async def main():
        engine = FakeEngine(instances=1)
        engine.gate.clear()
        lane = Lane(engine, name="m/1", batch_tokens=8, max_queue_tokens=100)
        tasks = [asyncio.create_task(ask(lane, [ids(7)])) for _ in range(4)]
        await until(lambda: len(lane._open) == 4)
        closing = asyncio.create_task(asyncio.to_thread(lane.close))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        engine.gate.set()
        await closing
        assert all(isinstance(result, NotReadyError) for result in results)
        assert engine.is_closed
        with pytest.raises(NotReadyError):
            await ask(lane, [ids(7)])

    asyncio.run(main())


def test_speed_is_measured():
    async def main():
        async with lane_of(FakeEngine(instances=1, delay_s=0.01), batch_tokens=100) as lane:
            for _ in range(30):
                await ask(lane, [ids(*[7] * 10)])
            assert 50 < lane.tokens_per_s < 1500

    asyncio.run(main())


requests = st.lists(
    st.tuples(
        st.sampled_from(["fine", "fine", "poison", "cancelled", "late", "oversize"]),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=25,
)


@given(requests=requests, max_queue_tokens=st.sampled_from([20, 10_000]), instances=st.integers(1, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exactly_one_reply_each(requests, max_queue_tokens, instances):
    """Any mix of cancels, failures, oversize requests and deadlines."""

    async def one(lane, kind, length):
        body = {"poison": [POISON], "late": [SLOW]}.get(kind, []) + [7] * length
        sequences = [ids(*body)] * (10 if kind == "oversize" else 1)
        outputs = await ask(lane, sequences, within_s=0.001 if kind == "late" else FAR)
        np.testing.assert_array_equal(outputs, halves([body] * len(sequences)))

    async def main():
        async with lane_of(FakeEngine(instances=instances, slow_s=0.005), max_queue_tokens=max_queue_tokens) as lane:
            tasks = [asyncio.create_task(one(lane, kind, length)) for kind, length in requests]
            await asyncio.sleep(0)
            for task, (kind, _) in zip(tasks, requests, strict=True):
                if kind == "cancelled":
                    task.cancel()
            async with asyncio.timeout(20):
                results = await asyncio.gather(*tasks, return_exceptions=True)
            assert lane.queue_tokens == 0
            assert not lane._open
            return results

    for (kind, length), result in zip(requests, asyncio.run(main()), strict=True):
        refused = isinstance(result, OverloadedError) and max_queue_tokens == 20
        if isinstance(result, InvalidRequestError):
            assert kind == "oversize"
            assert length * 10 > max_queue_tokens
            continue
        allowed = {
            "fine": result is None,
            "oversize": result is None,
            "cancelled": isinstance(result, asyncio.CancelledError),
            "late": result is None or isinstance(result, DeadlineError),
            "poison": isinstance(result, ServingError),
        }
        assert refused or allowed[kind], (kind, result)
