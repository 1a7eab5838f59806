"""Hooks and log handlers that fail, each time they are called, in the middle of an outage."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading

import pytest
from faults.hooks import Handler, Hook

from memo import Breaker, OperationFailed, Policy, cached
from memo.backends import Memory
from memo.testing import AsyncFaultyBackend, FaultyBackend

#: Calls, and callers; benchmarks/faults makes ten thousand calls.
CALLS = 2_000
CALLERS = 8


class Server(FaultyBackend):
    """A backend that may take its time, as a server does: it has a breaker."""

    blocking = True


@pytest.fixture
def handler(monkeypatch):
    """The only handler that the log has; each line is written, as if none was like the last."""
    monkeypatch.setattr("memo.alerts._QUIET", -1.0)
    monkeypatch.setattr("memo.guard.circuit._QUIET", -1.0)
    log = logging.getLogger("memo")
    log.setLevel(logging.WARNING)
    failing = Handler()
    log.addHandler(failing)
    monkeypatch.setattr(log, "propagate", False)
    yield failing
    log.removeHandler(failing)


def answers_of_threads(policy, backend, calls):
    """What callers in threads are given."""

    @cached(backend=backend, policy=policy)
    def double(x):
        return 2 * x

    answers = []

    def work(number):
        for x in range(number, calls, CALLERS):
            try:
                answers.append(double(x) == 2 * x)
            except Exception as error:
                answers.append(error)

    crew = [threading.Thread(target=work, args=(number,)) for number in range(CALLERS)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join(60)
    return answers, double.cache_info()


def answers_of_tasks(policy, backend, calls):
    """What callers in tasks are given."""

    @cached(backend=backend, policy=policy)
    async def double(x):
        return 2 * x

    answers = []

    async def work(number):
        for x in range(number, calls, CALLERS):
            try:
                answers.append(await double(x) == 2 * x)
            except Exception as error:
                answers.append(error)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(work(number))

    asyncio.run(main())
    return answers, double.cache_info()


each_colour = pytest.mark.parametrize(
    ("called", "backend"),
    [(answers_of_threads, Server), (answers_of_tasks, AsyncFaultyBackend)],
    ids=["threads", "tasks"],
)
each_breaker = pytest.mark.parametrize(
    "breaker", [None, Breaker(failures=5)], ids=["no breaker", "breaker"]
)


@each_colour
@each_breaker
@pytest.mark.parametrize("strict", [False, True], ids=["absorb", "strict"])
def test_hooks_and_handlers_that_raise_each_time(handler, called, backend, breaker, strict):
    """Each call is answered as if they were well, and each failure counted, theirs as well."""
    hook, change = Hook(), Hook(KeyError)
    if breaker is not None:
        breaker = dataclasses.replace(breaker, on_change=change)
    of = Policy.strict if strict else Policy.absorb
    policy = of(on_error=hook, breaker=breaker, timeout=None)
    failing = backend(Memory(maxsize=None))
    failing.fail()
    answers, info = called(policy, failing, CALLS)
    assert len(answers) == CALLS
    if strict:
        assert all(type(one) is OperationFailed for one in answers)
        assert all(type(one.__cause__) is ConnectionError for one in answers)
    else:
        assert answers == [True] * CALLS
    assert hook.asked == CALLS
    assert handler.asked >= 2 * CALLS  # for the error, and for what the hook raised
    # Counted as well: each time the hook failed.
    assert info.failures == 2 * CALLS
    assert info.failures_by["OperationFailed", "read"] == CALLS
    assert info.failures_by["OperationFailed", "report"] >= CALLS
    assert info.misses == CALLS
    assert change.asked == (breaker is not None)


@each_colour
def test_an_interrupt_of_a_hook_goes_through(handler, called, backend):
    """What is no `Exception`, such as a wish to exit, is not swallowed."""
    policy = Policy(on_error=Hook(SystemExit))
    failing = backend(Memory(maxsize=None))
    failing.fail()
    if called is answers_of_tasks:

        @cached(backend=failing, policy=policy)
        async def double(x):
            return 2 * x

        with pytest.raises(SystemExit):
            asyncio.run(double(1))
    else:

        @cached(backend=failing, policy=policy)
        def double(x):
            return 2 * x

        with pytest.raises(SystemExit):
            double(1)
