"""A server that is killed, stands still or is restarted, in the middle of what its callers do."""

from __future__ import annotations

import pytest
from faults.callers import Tasks, Threads
from servers.process import wait_until
from servers.valkey import Valkey


@pytest.mark.parametrize(("hurt", "heal"), [("kill", "restart"), ("stop", "resume")])
def test_a_server_that_is_gone_for_a_while(server, callers, policy, hurt, heal):
    """Each call is answered rightly, few are held up, and hits come back by themselves."""
    with callers(server.url, policy=policy) as crowd:
        crowd.warm_up()
        before = crowd.ratio()
        with crowd.during(getattr(server, hurt)) as fault:
            crowd.meet(fault)
        getattr(server, heal)()
        crowd.recover(before)
    fault.sound()
    fault.bounded()


def test_a_server_that_is_restarted_at_once(server, callers):
    """A restart that takes no longer than that costs some loads, and no wrong or late answer."""
    with callers(server.url) as crowd:
        crowd.warm_up()
        before = crowd.ratio()
        with crowd.during() as fault:
            for _ in range(2):
                server.restart()
                crowd.more(2)
            crowd.recover(before)
    fault.sound()
    assert fault.loads >= crowd.keys  # it came back empty


def test_a_restarted_server_that_has_kept_its_data(callers):
    """What the server has kept is found again, without being loaded anew."""
    with (
        Valkey(appendonly="yes", appendfsync="always") as server,
        callers(server.url) as crowd,
    ):
        crowd.warm_up()
        with crowd.during(server.kill) as fault:
            crowd.until("the breaker opens", lambda: crowd.is_open)
            server.restart()
            crowd.until("the breaker closes", lambda: not crowd.is_open)
            crowd.more(5)
    fault.sound()
    assert fault.loads <= len(fault.heard)  # the function is called where a read failed


def test_a_server_that_stands_still_again_and_again(server, callers):
    """An outage after an outage is met as the first one was."""
    with callers(server.url) as crowd:
        crowd.warm_up()
        for _ in range(2):
            with crowd.during(server.stop, server.resume) as fault:
                crowd.until("the breaker opens", lambda: crowd.is_open)
                crowd.more(3)
            fault.sound()
            fault.bounded()
            crowd.until("the breaker closes", lambda: not crowd.is_open)
            crowd.recover()


def test_a_server_that_was_never_there(server, callers):
    """A program that starts before its server works, and caches as soon as that is there."""
    server.kill()
    with callers(server.url) as crowd:
        with crowd.during() as fault:
            crowd.meet(fault)
        server.restart()
        crowd.until("hits", lambda: crowd.ratio() >= 0.95)
    fault.sound()
    fault.bounded()
    assert fault.hit_ratio < 0.9  # followers of running loads at most


def test_both_colours_stand_before_one_breaker(server):
    """What the callers in threads have found out holds for those in tasks, and the other way."""
    with Threads(server.url) as threads, Tasks(server.url) as tasks:
        threads.warm_up()
        tasks.warm_up()
        assert threads.circuit is tasks.circuit
        with threads.during(server.kill) as one, tasks.during() as other:
            threads.until("the breaker opens", lambda: threads.is_open)
            threads.more(5)
            tasks.more(5)
        one.sound()
        other.sound()
        tried = len(one.tried) + len(other.tried)
        in_a_row = threads.failures * (1 + one.overtaken + other.overtaken)
        assert tried <= in_a_row + threads.count + tasks.count + one.probes
        server.restart()
        threads.recover()
        tasks.recover()
        wait_until("one breaker", lambda: not threads.is_open and not tasks.is_open)
