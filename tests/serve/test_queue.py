"""The queue keeps its count under any order of events, and the order of those who wait."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penjing.serve.queue import Permit, TokenQueue


@dataclass(eq=False)
class Thing:
    permit: Permit
    tokens: int


def wait(queue: TokenQueue[Thing], *sizes: int) -> list[Thing]:
    permit = queue.admit(sum(sizes))
    assert permit is not None
    things = [Thing(permit, size) for size in sizes]
    assert queue.put(things)
    return things


@pytest.fixture
def queue() -> TokenQueue[Thing]:
    return TokenQueue(max_tokens=100)


def test_takes_in_order_up_to_the_budget(queue):
    things = [*wait(queue, 10), *wait(queue, 10), *wait(queue, 11), *wait(queue, 1)]
    assert queue.take(30) == things[:2]
    assert queue.take(30) == things[2:]


def test_does_not_overtake(queue):
    first, second, third = [*wait(queue, 20), *wait(queue, 25), *wait(queue, 5)]
    assert queue.take(30) == [first]
    assert queue.take(30) == [second, third]


def test_a_piece_over_the_budget_goes_alone(queue):
    big, small = [*wait(queue, 50), *wait(queue, 1)]
    assert queue.take(30) == [big]
    assert queue.take(30) == [small]


def test_refuses_what_does_not_fit_and_admits_it_later(queue):
    wait(queue, 60)
    assert queue.admit(41) is None
    assert queue.admit(40) is not None
    queue.take(100)
    assert queue.admit(41) is not None


def test_a_released_request_leaves_nothing(queue):
    gone, stays = wait(queue, 10, 10), wait(queue, 5)
    queue.release(gone[0].permit)
    queue.release(gone[0].permit)
    assert queue.tokens == 5
    assert queue.take(100) == stays
    assert queue.tokens == 0


def test_an_estimate_can_be_corrected(queue):
    permit = queue.admit(10)
    queue.resize(permit, 70)
    assert queue.tokens == 70
    queue.release(permit)
    assert queue.tokens == 0


def test_work_is_shared_with_idle_workers(queue):
    taken: list[int] = []
    workers = [threading.Thread(target=lambda: taken.append(len(queue.take(100)))) for _ in range(2)]
    for worker in workers:
        worker.start()
    while queue._idle < 2:
        pass
    wait(queue, *[10] * 8)
    for worker in workers:
        worker.join()
    assert sum(taken) == 8
    assert max(taken) < 8


def test_close_wakes_and_refuses(queue):
    result: list[list[Thing]] = []
    worker = threading.Thread(target=lambda: result.append(queue.take(10)))
    worker.start()
    queue.close()
    worker.join(5)
    permit = queue.admit(1)
    assert result == [[]]
    assert permit is not None
    assert not queue.put([Thing(permit, 1)])


class AnyOrder(RuleBasedStateMachine):
    """Against a plain list: admitted, waiting, taken, released in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: TokenQueue[Thing] = TokenQueue(max_tokens=50)
        self.permits: list[Permit] = []
        self.waiting: list[Thing] = []
        self.held: dict[int, int] = {}

    @rule(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4))
    def come(self, sizes):
        permit = self.queue.admit(sum(sizes))
        held = sum(self.held.values())
        assert (permit is None) == (held + sum(sizes) > 50)
        if permit is not None:
            things = [Thing(permit, size) for size in sizes]
            self.queue.put(things)
            self.permits.append(permit)
            self.waiting += things
            self.held[id(permit)] = sum(sizes)

    @precondition(lambda self: self.waiting)
    @rule(budget=st.integers(1, 60))
    def take(self, budget):
        taken = self.queue.take(budget)
        assert taken == self.waiting[: len(taken)]
        assert len(taken) == 1 or sum(thing.tokens for thing in taken) <= budget
        del self.waiting[: len(taken)]
        for thing in taken:
            self.held[id(thing.permit)] -= thing.tokens

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def leave(self, data):
        permit = data.draw(st.sampled_from(self.permits))
        self.queue.release(permit)
        self.waiting = [thing for thing in self.waiting if thing.permit is not permit]
        self.held[id(permit)] = 0

    @invariant()
    def count_is_right(self):
        assert self.queue.tokens == sum(self.held.values())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
