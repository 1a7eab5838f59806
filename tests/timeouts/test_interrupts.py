"""An interrupt, wherever it comes, leaves nobody waiting."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from types import SimpleNamespace

import pytest
from concurrency.watch import until

from memo import Cache, cached
from memo.flights.workers import workers
from memo.testing import FakeTimer

#: How often each kind of call is interrupted.
ROUNDS = 2000
#: Seconds within which the interrupt comes; a call takes less.
SPAN = 4e-5


class Upstream(Exception):
    """What functions raise here."""


def of_function(**options):
    """Calls of a function, by key, and the table of its flights."""

    def make():
        @cached(timer=FakeTimer(), **options)
        def f(key):
            return key

        return f, f._self_site.core.flights

    return make


def of_failing(**options):
    """Calls of one that raises."""

    def make():
        @cached(**options)
        def f(key):
            raise Upstream(key)

        return f, f._self_site.core.flights

    return make


def of_covered():
    """Calls that a stale value answers, since the function raises."""
    timer = FakeTimer()

    @cached(ttl=10, stale_if_error=100, timer=timer, maxsize=None)
    def f(key):
        if timer():
            raise Upstream(key)
        return key

    for key in range(ROUNDS):
        f(key)
    timer.advance(20)
    return f, f._self_site.core.flights


def of_method():
    """Calls of a method."""

    class Thing:
        @cached(ttl=10)
        def f(self, key):
            return key

    thing = Thing()
    return thing.f, Thing.f._self_site.receivers.cache_of(thing).flights


def of_refresh():
    """A `refresh`, which is a turn from beginning to end."""

    @cached(ttl=10)
    def f(key):
        return key

    return f.refresh, f._self_site.core.flights


def of_cache():
    """`get_or_load`."""
    cache = Cache(ttl=10)
    return (lambda key: cache.get_or_load(key, lambda: key)), cache._core.flights


CALLS = {
    "plain": of_function(),
    "alone": of_function(single_flight=False),
    "windows": of_function(ttl=10, stale_if_error=5),
    "key": of_function(ttl=10, key=lambda key: key),
    "copy": of_function(ttl=10, copy=lambda value: value),
    "hard timeout": of_function(ttl=10, hard_timeout=60),
    "on a mapping": of_function(ttl=10, backend={}),
    "plain, raises": of_failing(),
    "alone, raises": of_failing(single_flight=False),
    "windows, raises": of_failing(ttl=10, stale_if_error=5),
    "hard timeout, raises": of_failing(hard_timeout=60),
    "covered": of_covered,
    "method": of_method,
    "refresh": of_refresh,
    "get_or_load": of_cache,
}


class Alarm:
    """A real signal, whose handler raises a `KeyboardInterrupt` where it finds the main thread."""

    def __init__(self):
        self.came = False

    def set(self, seconds):
        """Have it come so many seconds from now."""
        self.came = False
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def __call__(self, *_):
        self.came = True
        raise KeyboardInterrupt


@pytest.fixture
def alarm():
    """An alarm that can be set."""
    alarm = Alarm()
    before = signal.signal(signal.SIGALRM, alarm)
    yield alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupted(call, key, alarm, seconds):
    """The interrupt that came so many seconds after `call` began."""
    try:
        alarm.set(seconds)
        with contextlib.suppress(Upstream):
            call(key)
        until(lambda: alarm.came)
    except KeyboardInterrupt as interrupt:
        return interrupt
    return None


# What is interrupted in a destructor can be raised to nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("make", CALLS.values(), ids=CALLS)
def test_an_interrupt_at_any_point_leaves_nobody_waiting(make, alarm):
    """Though its traceback is kept, with every frame: no flight stays that nobody will land."""
    call, flights = make()
    rolls = random.Random(7)
    came = 0
    for key in range(ROUNDS):
        interrupt = interrupted(call, key, alarm, rolls.uniform(1e-6, SPAN))
        came += interrupt is not None
        until(lambda: all(flight.over for flight in list(flights._flights.values())), 4)
    assert came > ROUNDS / 2
    until(lambda: not workers.busy)


@pytest.fixture
def visitor():
    """A real signal, whose handler does what it is given, where it finds the main thread."""
    visits = []

    def handle(*_):
        visits.append(visitor.call())

    visitor = SimpleNamespace(visits=visits, call=lambda: None)
    before = signal.signal(signal.SIGALRM, handle)
    yield visitor
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("make", CALLS.values(), ids=CALLS)
def test_a_signal_handler_may_make_the_call_that_it_has_interrupted(make, visitor):
    """It waits for nothing that cannot go on before it has ended.

    That is a load of its own thread, or of a worker who needs a lock that this thread holds.
    """
    call, flights = make()
    rolls = random.Random(7)

    def answer(key):
        try:
            return call(key)
        except Upstream:
            return key

    for key in range(ROUNDS):
        visitor.call = lambda key=key: (key, answer(key))
        signal.setitimer(signal.ITIMER_REAL, rolls.uniform(1e-6, SPAN))
        assert answer(key) == key
        until(lambda key=key: len(visitor.visits) > key)
    assert all(key == answered for key, answered in visitor.visits)
    assert not any(flights._flights.values())
    until(lambda: not workers.busy)


def test_an_interrupt_in_the_function_is_raised_and_its_followers_start_anew():
    """The leader's own: whoever waits for it calls the function."""
    gate, started = threading.Event(), threading.Event()
    runs = []

    @cached(ttl=10)
    def f(key):
        runs.append(key)
        if len(runs) == 1:
            started.set()
            assert gate.wait(10)
            raise KeyboardInterrupt
        return key

    def leader():
        with pytest.raises(KeyboardInterrupt):
            f(1)

    first = threading.Thread(target=leader)
    first.start()
    assert started.wait(10)
    second = threading.Thread(target=lambda: f(1))
    second.start()
    (flight,) = f._self_site.core.flights._flights.values()
    until(lambda: flight.landed is not None and flight.landed.waiters)
    gate.set()
    first.join(10)
    second.join(10)
    assert runs == [1, 1]
    assert f.get(1) == 1
