"""The interpreter exits promptly and in silence, whatever runs in the background."""

from __future__ import annotations

import time

import pytest
from concurrency.watch import python

PREAMBLE = """
    import atexit, asyncio, sys, threading, time
    from memo import cached, AsyncCache, Cache
    from memo.testing import FakeTimer
    timer = FakeTimer()
    started = threading.Event()
    calls = []
"""


def timed(code):
    """What `code` says after the preamble, and how many seconds it took."""
    before = time.monotonic()
    said = python(PREAMBLE + code)
    return said, time.monotonic() - before


@pytest.mark.parametrize(
    "body",
    ["threading.Event().wait()", "time.sleep(3600)", "[0 for _ in iter(int, 1)]"],
    ids=["waits", "sleeps", "spins"],
)
def test_a_refresh_that_hangs_does_not_keep_the_program(body):
    """With a hanging refresh the interpreter is gone within seconds, exit code 0, no word said."""
    said, took = timed(f"""
    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        calls.append(key)
        if len(calls) > 1:
            started.set()
            {body}
        return 1

    load("k"); timer.advance(15)
    assert load("k") == 1
    assert started.wait(10)
    print("done")
    """)
    assert said == "done\n"
    assert took < 10


def test_a_refresh_that_runs_is_given_a_moment_to_end():
    """What runs at exit may finish, if it does so soon."""
    said, _ = timed("""
    leaving = threading.Event()
    import memo.background
    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        calls.append(key)
        if len(calls) > 1:
            started.set()
            leaving.wait()
            print("finished", flush=True)
        return 1

    load("k"); timer.advance(15); load("k")
    assert started.wait(10)
    atexit.register(leaving.set)
    """)
    assert said == "finished\n"


def test_a_due_value_may_be_read_while_the_program_exits():
    """A call in an `atexit` handler, after the background is closed, is answered."""
    said, _ = timed("""
    import memo.background
    def last():
        print(load("k"))
    atexit.unregister(memo.background.background.close)
    atexit.register(last)
    atexit.register(memo.background.background.close)  # runs first

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        calls.append(key)
        return len(calls)

    assert load("k") == 1
    timer.advance(15)
    """)
    assert said == "1\n"


def test_a_refresh_dropped_at_exit_strands_nobody():
    """A refresh that never began is forgotten at exit: who needs its key then loads it."""
    said, _ = timed("""
    from memo.background import background, Job
    def last():
        timer.advance(100)
        print(load("k"), flush=True)
    atexit.unregister(background.close)
    atexit.register(last)
    atexit.register(background.close)  # runs first

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        calls.append(key)
        return len(calls)

    load("k"); timer.advance(15)
    for _ in range(background._workers):
        background.submit(Job(None, threading.Event().wait, lambda: None))
    assert load("k") == 1  # its refresh waits for a thread
    """)
    assert said == "2\n"


def test_a_loop_that_ends_with_a_refresh_pending_is_silent():
    """`asyncio.run` cancels the refresh; nothing is said of it."""
    said, took = timed("""
    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    async def load(key):
        calls.append(key)
        if len(calls) > 1:
            await asyncio.Event().wait()
        return 1

    async def main(step):
        await load("k"); timer.advance(15)
        assert await load("k") == 1
        if step:
            await asyncio.sleep(0)

    asyncio.run(main(0))
    calls.clear(); timer.advance(100)
    asyncio.run(main(1))
    print("done")
    """)
    assert said == "done\n"
    assert took < 10


def test_a_loop_abandoned_with_a_load_pending_lets_the_program_exit():
    """A loop that is neither run to its end nor closed leaves nothing that the exit waits for."""
    said, took = timed("""
    import warnings, logging
    logging.disable(logging.CRITICAL)  # asyncio itself remarks on tasks destroyed pending
    warnings.simplefilter("ignore")

    @cached(ttl=10)
    async def load(key):
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    task = loop.create_task(load("k"))
    for _ in range(5):
        loop.call_soon(loop.stop); loop.run_forever()
    print("done")
    """)
    assert said == "done\n"
    assert took < 10


def test_daemon_threads_in_the_middle_of_calls_do_not_disturb_the_exit():
    """Threads that call cached functions when the program ends are cut off in silence."""
    said, took = timed("""
    @cached(ttl=10, maxsize=10)
    def load(key):
        started.set()
        return key

    def churn():
        number = 0
        while True:
            number += 1
            load(number % 20)

    for _ in range(4):
        threading.Thread(target=churn, daemon=True).start()
    assert started.wait(10)
    print("done")
    """)
    assert said == "done\n"
    assert took < 10


def test_the_last_finalizer_may_call_what_was_never_used():
    """Not even an import system is left then, nor a thread that would do anything."""
    said, took = timed("""
    import builtins, os

    @cached
    def plain(key):
        return key

    @cached(maxsize=10, eviction="lru")
    def ordered(key):
        return key

    @cached(ttl=10, stale_if_error=10, hard_timeout=30)
    def waits(key):
        return key

    waits(0)                                    # its thread is there, and free
    class Last:
        def __del__(self, write=os.write, functions=(plain, ordered, waits)):
            for function in functions:
                write(1, b"%d" % function(1))
    builtins.last = Last()
    """)
    assert said == "111"
    assert took < 20
