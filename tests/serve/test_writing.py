"""The lane of models that write: exactly one end, turns, failures of one; and stop strings."""

from __future__ import annotations

import asyncio
import threading
import time

import hypothesis
import pytest
from hypothesis import strategies

from app.decoder_world import byte_tokenizer
from penjing.core.errors import InvalidRequestError, NotReadyError, OverloadedError, ServingError
from penjing.engines import Continuation, GenerationOptions, Prompt, Token
from penjing.serve.writing.job import End, Job, Piece
from penjing.serve.writing.lane import WritingLane
from penjing.serve.writing.stopping import Stopper
from penjing.tokens.streaming import TextStream

TOKENIZER = byte_tokenizer().backend_tokenizer
LETTERS = TOKENIZER.encode("abcdefghij", add_special_tokens=False).ids


class Spelling:
    """A generator that goes on with the alphabet, one letter a step for each prompt of a call.

    Attributes:
        calls: prompts of each call.
        poison: a token that makes a call fail whose prompts hold it.
    """

    name, instances = "spelling", 1

    def __init__(self, *, step_s=0.0, poison=None, gate=None):
        self.calls, self.step_s, self.poison, self.gate, self.closed = [], step_s, poison, gate, False

    def generate(self, prompts, options, *, on_token):
        self.calls.append(len(prompts))
        if self.gate:
            self.gate.wait(5)
        if any(self.poison in prompt.ids for prompt in prompts):
            raise RuntimeError("poisoned")
        ids = [[] for _ in prompts]
        running = set(range(len(prompts)))
        for _ in range(options.max_tokens):
            time.sleep(self.step_s)
            for row in sorted(running):
                at = LETTERS.index(prompts[row].ids[-1]) + 1 + len(ids[row])
                ids[row].append(LETTERS[at % len(LETTERS)])
                if on_token(row, Token(ids[row][-1], -0.5)):
                    running.discard(row)
            if not running:
                break
        return [
            [Continuation(tuple(own), 0.0, "length" if row in running else "stopped")] for row, own in enumerate(ids)
        ]

    def close(self):
        self.closed = True


def job(events, *, start=0, tokens=5, stops=(), **told):
    options = GenerationOptions(max_tokens=tokens, **told)
    return Job(Prompt([LETTERS[start]]), options, stops=stops, stream=TextStream(TOKENIZER), tell=events.append)


async def finished(*heard, timeout_s=5.0):
    until = time.monotonic() + timeout_s
    while not all(events and not isinstance(events[-1], Piece) for events in heard):
        assert time.monotonic() < until, "never ended"
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)  # anything that comes after an end would come now


def text(events):
    return "".join(event.text for event in events)


def in_lane(engine, use, **told):
    async def go():
        lane = WritingLane(engine, name="m/1", **({"max_tokens": 1000} | told))
        try:
            return await use(lane)
        finally:
            await asyncio.to_thread(lane.close)

    return asyncio.run(go())


def test_each_job_gets_its_text_and_one_end():
    async def use(lane):
        heard = [[] for _ in range(5)]
        lane.put([job(events, start=at, tokens=3 + at) for at, events in enumerate(heard)])
        await finished(*heard)
        return heard

    heard = in_lane(Spelling(), use)
    assert [text(events) for events in heard] == ["bcd", "cdef", "defgh", "efghij", "fghijab"]
    assert all(sum(isinstance(event, End) for event in events) == 1 for events in heard)
    assert [events[-1].tokens for events in heard] == [3, 4, 5, 6, 7]
    assert {events[-1].finish for events in heard} == {"length"}


def test_a_long_answer_gives_way_and_goes_on_with_those_that_came():
    engine = Spelling(step_s=0.005)

    async def use(lane):
        long, short = [], []
        lane.put([job(long, tokens=60)])
        await asyncio.sleep(0.05)
        lane.put([job(short, start=3, tokens=2)])
        await finished(short)
        waited = not isinstance(long[-1], End)
        await finished(long)
        return long, short, waited

    long, short, waited = in_lane(engine, use, turn_tokens=8)
    assert waited, "the short one waited for the long one"
    assert text(short) == "ef"
    assert text(long) == ("bcdefghija" * 6)
    assert engine.calls[0] == 1
    assert 2 in engine.calls


def test_without_others_a_long_answer_is_one_call():
    engine = Spelling()

    async def use(lane):
        events = []
        lane.put([job(events, tokens=60)])
        await finished(events)

    in_lane(engine, use, turn_tokens=8)
    assert engine.calls == [1]


def test_only_what_is_alike_shares_a_call_and_a_seed_is_drawn_alone():
    engine, gate = Spelling(), threading.Event()
    engine.gate = gate

    async def use(lane):
        heard = [[] for _ in range(6)]
        lane.put([job(heard[0])])
        await asyncio.sleep(0.05)
        lane.put([job(events, temperature=0.5) for events in heard[1:3]])
        lane.put([job(events, temperature=0.5, seed=1) for events in heard[3:5]] + [job(heard[5])])
        gate.set()
        await finished(*heard)

    in_lane(engine, use)
    assert sorted(engine.calls) == [1, 1, 1, 1, 2]


def test_a_failure_is_told_to_the_guilty_alone():
    async def use(lane):
        heard = [[], [], []]
        lane.put([job(events, start=at) for at, events in enumerate(heard)])
        await finished(*heard)
        return heard, lane.failures

    heard, failures = in_lane(Spelling(poison=LETTERS[1]), use)
    assert isinstance(heard[1][-1], ServingError)
    assert [text(heard[0]), text(heard[2]), failures] == ["bcdef", "defgh", 1]


def test_a_job_that_nobody_reads_stops_with_the_next_token():
    engine = Spelling(step_s=0.01)

    async def use(lane):
        events, other = [], []
        jobs = [job(events, tokens=500)]
        lane.put(jobs)
        await asyncio.sleep(0.06)
        lane.drop(jobs)
        began = time.monotonic()
        lane.put([job(other)])
        await finished(other)
        return time.monotonic() - began, len(events)

    took, told = in_lane(engine, use)
    assert took < 1
    assert told < 20


def test_what_is_open_is_told_when_the_lane_closes():
    engine, gate = Spelling(step_s=0.01), threading.Event()

    async def use(lane):
        running, waiting = [], []
        lane.put([job(running, tokens=500)])
        await asyncio.sleep(0.05)
        lane.put([job(waiting, temperature=1.0)])
        await asyncio.to_thread(lane.close)
        await finished(running, waiting)
        with pytest.raises(NotReadyError):
            lane.put([job([])])
        return running, waiting

    del gate
    running, waiting = in_lane(engine, use, turn_tokens=10_000)
    assert isinstance(running[-1], NotReadyError)
    assert isinstance(waiting[-1], NotReadyError)
    assert engine.closed


def test_room_is_given_or_refused_at_once():
    async def use(lane):
        permit = lane.admit(600)
        with pytest.raises(OverloadedError) as refused:
            lane.admit(600)
        assert refused.value.retry_after_s > 0
        with pytest.raises(InvalidRequestError, match="at most 1000"):
            lane.admit(1001)
        lane.release(permit)
        assert lane.queue_tokens == 0
        lane.release(lane.admit(1000))

    in_lane(Spelling(), use)


def test_a_stop_string_ends_an_answer():
    async def use(lane):
        events = []
        lane.put([job(events, tokens=50, stops=("xx", "fg"))])
        await finished(events)
        return events

    events = in_lane(Spelling(), use)
    assert text(events) == "bcde"
    assert (events[-1].finish, events[-1].stopped_by) == ("stop", "fg")


STOPS = strategies.lists(strategies.text("ab你", min_size=1, max_size=4), min_size=1, max_size=4)


@hypothesis.given(strategies.lists(strategies.text("ab你", max_size=3), max_size=12), STOPS)
def test_however_a_text_is_split_nothing_of_a_stop_string_is_told(pieces, stops):
    stopper = Stopper(stops)
    told = "".join(map(stopper.take, pieces)) + stopper.rest()
    whole = "".join(pieces)
    first = min((at for stop in stops if (at := whole.find(stop)) >= 0), default=None)
    if first is None:
        assert (told, stopper.hit) == (whole, None)
    else:
        assert stopper.hit in stops
        assert not any(stop in told for stop in stops)
        assert whole.startswith(told + stopper.hit)
