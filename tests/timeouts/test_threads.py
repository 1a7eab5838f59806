"""Timeouts of blocking functions: what runs in which thread, and how many there are."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time

import pytest
from concurrency.watch import PATIENCE, Crew, forked, in_thread, nothing_left, python, until
from timeouts.waiting import LONG, SOON

from memo import LoadTimeout, cached
from memo.flights.workers import Workers, workers
from memo.testing import FakeTimer


def test_a_function_with_a_timeout_runs_in_a_daemon_thread():
    """So that its caller can leave, and a function that hangs keeps no program from exiting."""
    seen = []

    @cached(hard_timeout=LONG)
    def f(key):
        seen.append(threading.current_thread())
        return key

    assert f(1) == 1
    (thread,) = seen
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_a_function_without_timeouts_runs_in_its_callers_thread():
    """Only who asks for a limit pays for it."""

    @cached(ttl=10, stale_if_error=5, retry_after=1)
    def f(key):
        return threading.current_thread()

    assert f(1) is threading.current_thread()


def test_threads_are_used_again():
    """One after the other, loads run in one thread: what it keeps for itself is kept."""

    @cached(hard_timeout=LONG)
    def f(key):
        return threading.get_ident()

    until(lambda: not workers.busy)
    assert len({f(number) for number in range(20)}) <= 2


def test_an_interrupt_reaches_a_caller_that_waits():
    """`KeyboardInterrupt` ends the wait; the load goes on, and is stored."""
    gate, started = threading.Event(), threading.Event()

    @cached(hard_timeout=LONG)
    def f(key):
        started.set()
        assert gate.wait(PATIENCE)
        return key

    heard = threading.Event()

    def interrupted(*_):
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def interrupt():
        started.wait(PATIENCE)
        # One that comes just before the thread begins to wait is heard when it has waited.
        while not heard.wait(0.01):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        crew = Crew([interrupt])
        with pytest.raises(KeyboardInterrupt):
            f(1)
        crew.join()
    finally:
        signal.signal(signal.SIGINT, before)
    gate.set()
    until(lambda: nothing_left(f))
    assert f.get(1) == 1


def test_an_exit_of_the_function_is_its_callers_alone():
    """Who began the load gets the `SystemExit`; who waited for it starts anew."""
    gate = threading.Event()
    runs = []

    @cached(hard_timeout=LONG)
    def f(key):
        runs.append(key)
        assert gate.wait(PATIENCE)
        if len(runs) == 1:
            sys.exit(3)
        return key

    crew = Crew([lambda: f(1)])
    until(lambda: runs)
    crew.add(lambda: f(1))
    (flight,) = f._self_site.core.flights._flights.values()
    until(lambda: flight.landed.waiters == 2)
    gate.set()
    crew.wait()
    assert crew.results == {1: 1}
    assert [type(error) for error in crew.errors.values()] == [SystemExit]


def test_an_exit_that_nobody_waits_for_is_heard(caplog):
    """It ends that load, and neither a thread of the pool nor the program."""
    gate = threading.Event()

    @cached(hard_timeout=SOON)
    def f(key):
        assert gate.wait(PATIENCE)
        sys.exit(3)

    with caplog.at_level(logging.WARNING, "memo"):
        with pytest.raises(LoadTimeout):
            f(1)
        gate.set()
        until(lambda: nothing_left(f) and not workers.busy)
    assert "SystemExit" in caplog.text
    assert f.cache_info().failures == 1


def test_a_generator_that_a_function_gives_is_its_callers():
    """What can be used once is neither stored nor shared, and not lost on the way either."""

    @cached(hard_timeout=LONG)
    def f(key):
        return (number for number in range(key))

    assert list(f(3)) == [0, 1, 2]
    assert list(f(3)) == [0, 1, 2]


def test_a_function_with_a_timeout_may_call_itself():
    """Other arguments: as deep as without one. The pool's bound makes nobody wait for himself."""
    busy = []

    @cached(hard_timeout=LONG)
    def down(n):
        busy.append(workers.busy)
        return 0 if n == 0 else 1 + down(n - 1)

    depth = sys.getrecursionlimit() // 3 - 20
    assert in_thread(lambda: down(depth)) == depth
    assert max(busy) == workers._share
    until(lambda: nothing_left(down) and not workers.busy)


def test_a_function_with_a_timeout_may_call_itself_with_the_same_arguments():
    """Then the inner call computes directly, as without a timeout."""
    depth = []

    @cached(hard_timeout=LONG)
    def f(key):
        depth.append(key)
        return key if len(depth) == 3 else f(key)

    assert in_thread(lambda: f(1)) == 1
    assert len(depth) == 3


def test_two_functions_that_call_each_other_do_not_wait_for_each_other():
    """A circle of waiting is seen through the threads that loads run in."""
    both = threading.Barrier(2, timeout=PATIENCE)
    met = []

    def meet(name):
        met.append(name)
        if len(met) <= 2:
            both.wait()

    @cached(hard_timeout=LONG)
    def f(n):
        meet("f")
        return g(0) + 1 if n == 0 and met.count("f") == 1 else 1

    @cached(hard_timeout=LONG)
    def g(n):
        meet("g")
        return f(0) + 1 if n == 0 and met.count("g") == 1 else 1

    crew = Crew([lambda: f(0), lambda: g(0)])
    answers = crew.join()
    assert all(answer >= 1 for answer in answers)
    until(lambda: nothing_left(f) and nothing_left(g))


def test_hanging_loads_take_a_bounded_number_of_threads():
    """Beyond the bound callers wait for a thread, and no longer than their timeout."""
    pool = Workers(most=3, share=2)
    gate = threading.Event()
    done = []

    def work():
        gate.wait(PATIENCE)
        done.append(1)

    assert pool.start("a", work, None)
    assert pool.start("a", work, None)
    now = time.monotonic()
    assert pool.start("a", work, now + SOON) is False  # its share is used up
    assert pool.start("b", work, now) is True
    assert pool.start("c", work, now + SOON) is False  # all are
    assert pool.busy == 3
    waiting = Crew([lambda: pool.start("a", work, now + LONG)])
    gate.set()
    assert waiting.join() == [True]
    until(lambda: len(done) == 4 and not pool.busy)


def test_a_worker_is_not_made_to_wait_for_another():
    """Loads within loads: where no thread is left they run where they are."""
    pool = Workers(most=1)
    said = []
    assert pool.start("a", lambda: said.append(pool.start("b", print, None)), None)
    until(lambda: said == [None])


def test_callers_beyond_the_bound_have_their_timeouts():
    """With the share of one function used up by hanging loads, the next caller is not stuck."""
    gate = threading.Event()

    @cached(ttl=10, stale_if_error=100, hard_timeout=SOON, timer=(timer := FakeTimer()))
    def f(key):
        if key != "held" or timer() > 0:
            assert gate.wait(PATIENCE)
        return key

    @cached(hard_timeout=LONG)
    def other(key):
        return key

    until(lambda: not workers.busy)
    f("held")
    timer.advance(20)
    for number in range(workers._share):
        with pytest.raises(LoadTimeout):
            f(number)
    assert workers.busy == workers._share
    with pytest.raises(LoadTimeout):
        f("one more")
    assert f("held") == "held"
    assert other(1) == 1, "functions do not take each other's threads"
    gate.set()
    until(lambda: nothing_left(f) and not workers.busy)
    assert f("one more") == "one more"


def test_a_thread_that_cannot_be_started_is_not_needed(monkeypatch):
    """Where the system has no more threads the function is called by its caller."""

    def start(self):
        raise RuntimeError("can't start new thread")

    @cached(hard_timeout=LONG)
    def f(key):
        return threading.current_thread()

    pool = Workers()
    monkeypatch.setattr("memo.turns.threads.workers", pool)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert f(1) is threading.current_thread()
    assert pool.busy == 0
    assert nothing_left(f)


def test_idle_threads_end():
    """A pool with nothing to do keeps none."""
    pool = Workers(idle=0.001)
    before = threading.active_count()
    for _ in range(5):
        assert pool.start("a", lambda: None, None)
    until(lambda: not pool.busy and threading.active_count() <= before)


def test_work_needs_nothing_that_who_asked_for_it_may_hold():
    """A signal handler that waits for the work may have come while its thread held the lock."""
    pool = Workers()
    ended = threading.Event()
    pool.start(None, lambda: None, None)
    until(lambda: pool._free)
    with pool._lock:
        pool.start(None, ended.set, None)
        assert ended.wait(10)
    until(lambda: not pool.busy)


def test_what_work_raises_costs_the_pool_nothing(caplog):
    """A thread of the pool outlives it."""
    pool = Workers()
    ran = []

    def fails():
        raise SystemExit(3)

    assert pool.start("a", fails, None)
    until(lambda: not pool.busy)
    assert pool.start("a", lambda: ran.append(1), None)
    until(lambda: ran == [1])
    assert "failed" in caplog.text


def test_a_forked_child_has_its_own_threads():
    """A load that the parent's thread runs strands nobody in the child."""
    gate = threading.Event()

    @cached(hard_timeout=SOON)
    def f(key):
        gate.wait(PATIENCE)
        return key

    with pytest.raises(LoadTimeout):
        f(1)

    def child():
        gate.set()
        return f(1), workers.busy >= 0

    assert forked(child) == "(1, True)"
    gate.set()
    until(lambda: nothing_left(f))


HANGING = """
    import threading, time
    from memo import cached, LoadTimeout

    @cached(ttl=10, hard_timeout=0.05)
    def f(key):
        {body}

    try:
        f(1)
    except LoadTimeout as error:
        print("left")
"""


@pytest.mark.parametrize(
    "body",
    ["threading.Event().wait()", "time.sleep(3600)", "[0 for _ in iter(int, 1)]"],
    ids=["waits", "sleeps", "spins"],
)
def test_a_hanging_function_does_not_keep_the_program_from_exiting(body):
    """The interpreter is gone within seconds, with exit code 0 and nothing said."""
    before = time.monotonic()
    assert python(HANGING.format(body=body)) == "left\n"
    assert time.monotonic() - before < 10


def test_functions_can_be_called_while_the_program_exits():
    """In an `atexit` handler, where no thread can be started any more on some versions."""
    said = python("""
    import atexit
    from memo import cached

    @cached(hard_timeout=5)
    def f(key):
        return key

    atexit.register(lambda: print(f(1)))
    """)
    assert said == "1\n"
