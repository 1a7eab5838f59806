"""A network that is slow, goes dead, breaks off or changes what it carries."""

from __future__ import annotations

import dataclasses

import pytest
from faults.callers import POLICY, STRICT, Threads
from faults.phases import descriptors

from memo import Policy


@pytest.fixture
def url(proxy):
    """The server, behind the bad network."""
    return f"redis://{proxy.host}:{proxy.port}/0"


#: Ways to be bad that let no answer through in time.
DEAD = {
    "drip": lambda proxy: proxy.drip(0.05),
    "delay": lambda proxy: proxy.delay(0.3),
    "hang": lambda proxy: proxy.hang(),
    "swallow": lambda proxy: proxy.swallow(),
    "reset": lambda proxy: proxy.reset(),
    "refuse": lambda proxy: proxy.refuse(),
    "truncate": lambda proxy: proxy.truncate(3),
}
#: Those that connections could be lost by, each in its way.
LEAKING = ("drip", "hang", "reset", "refuse")
dead = pytest.mark.parametrize("fault", DEAD.values(), ids=DEAD)


@dead
def test_no_answer_in_time(proxy, url, callers, fault):
    """Calls are answered rightly, few are held up, and hits come back when the network does."""
    through(proxy, callers(url), fault)


@pytest.mark.parametrize("fault", [DEAD["hang"], DEAD["reset"]], ids=["hang", "reset"])
def test_no_answer_in_time_under_a_strict_policy(proxy, url, callers, fault):
    """The same, with the error that the policy raises."""
    through(proxy, callers(url, policy=STRICT), fault)


def through(proxy, callers, fault):
    """Let the network have a fault, and be well again."""
    with callers as crowd:
        crowd.warm_up()
        with crowd.during(lambda: fault(proxy)) as phase:
            crowd.meet(phase)
        proxy.normal()
        crowd.recover()
    phase.sound()
    phase.bounded()


@pytest.mark.parametrize("fault", [DEAD[name] for name in LEAKING], ids=LEAKING)
def test_failures_leak_no_connections(proxy, url, callers, fault):
    """However many operations fail, there are as many connections as callers, and none in doubt."""
    policy = Policy(timeout=0.02, breaker=None)
    with callers(url, policy=policy, size=8, pace=0.001) as crowd:
        crowd.warm_up()
        before = descriptors()
        with crowd.during(lambda: fault(proxy)) as phase:
            crowd.more(10)
            held = descriptors()
        proxy.normal()
        crowd.recover()
    phase.sound()
    assert len(phase.tried) >= 10 * 8
    # Both ends of a connection, and its way on to the server, are descriptors of this process.
    most = 3 * 2 * crowd.count
    assert held <= before + most
    proxy.wait_until("few connections", lambda proxy: proxy.connections <= 2 * crowd.count)


def test_a_slow_network_is_no_failure(proxy, url, callers):
    """Answers that take a while, but come in time, are hits."""
    policy = dataclasses.replace(STRICT, timeout=10.0)
    with callers(url, policy=policy, size=8, pace=0.001) as crowd:
        crowd.warm_up()
        with crowd.during(lambda: proxy.delay(0.02)) as phase:
            crowd.more(5)
    phase.sound()
    assert not phase.heard
    assert phase.hit_ratio == 1


@pytest.mark.parametrize("seed", range(2))
def test_flipped_bits(proxy, url, callers, seed):
    """What was damaged on its way is never an answer, and no connection stays out of step."""
    with callers(url, seed=seed) as crowd:
        crowd.warm_up()
        with crowd.during(lambda: proxy.flip(seed=seed, rate=0.3)) as phase:
            crowd.until("failures", lambda: len(phase.heard) >= 100)
        proxy.normal()
        crowd.recover()
    phase.sound()


def test_a_network_that_changes_all_the_time(proxy, url, callers):
    """One kind of fault after the other, before the last one is over."""
    with callers(url) as crowd:
        crowd.warm_up()
        with crowd.during() as phase:
            for fault in (*DEAD.values(), lambda proxy: proxy.flip(rate=0.2)):
                fault(proxy)
                crowd.more(1)
        proxy.normal()
        crowd.recover()
    phase.sound()


def test_a_hung_network_holds_no_thread_for_ever(proxy, url):
    """Callers that are held up go on within their time, and are not the fewer for it."""
    with Threads(url, policy=dataclasses.replace(POLICY, breaker=None)) as crowd:
        crowd.warm_up()
        with crowd.during(proxy.hang, proxy.normal) as phase:
            crowd.more(3)
    phase.sound()
    assert len(phase.tried) >= 3 * crowd.count
