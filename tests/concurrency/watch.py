"""What the concurrency tests share: threads and loops that hang fail the test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from memo.flights import threads

#: Seconds after which something that should have ended is taken to hang.
PATIENCE = 15.0


class Crew:
    """Threads started together; `join` gives what each returned, or raises what one raised."""

    def __init__(self, targets: Iterable[Callable[[], Any]] = ()) -> None:
        self.results: dict[int, Any] = {}
        self.errors: dict[int, BaseException] = {}
        self.threads: list[threading.Thread] = []
        for target in targets:
            self.add(target)

    def add(self, target: Callable[[], Any]) -> threading.Thread:
        """Start one more; returns its thread."""
        number = len(self.threads)

        def work() -> None:
            try:
                self.results[number] = target()
            except BaseException as error:
                self.errors[number] = error

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def wait(self, timeout: float = PATIENCE) -> None:
        """Wait for all; one that is still there after `timeout` seconds is a failure."""
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        hanging = sum(thread.is_alive() for thread in self.threads)
        assert not hanging, f"{hanging} of {len(self.threads)} threads hang"

    def join(self, timeout: float = PATIENCE) -> list[Any]:
        """What each returned, in the order they were started."""
        self.wait(timeout)
        for error in self.errors.values():
            raise error
        return [self.results[number] for number in range(len(self.threads))]


def in_thread(target: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """What `target` returns or raises, run in a thread that may hang without hanging the test."""
    return Crew([target]).join(timeout)[0]


def run(main: Coroutine[Any, Any, Any], timeout: float = PATIENCE) -> Any:
    """`asyncio.run`, with a limit on how long `main` may take."""

    async def limited() -> Any:
        return await asyncio.wait_for(main, timeout)

    return asyncio.run(limited())


def until(true: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Wait for another thread to have brought about what `true` asks for."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "what was waited for has not come about"
        time.sleep(0.0005)


async def turn_until(true: Callable[[], Any]) -> None:
    """Let the loop's other tasks go on until they have brought about what `true` asks for."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "what was waited for has not come about"
        await asyncio.sleep(0)


def core(function: Any) -> Any:
    """The inside of a decorated function."""
    return function._self_site.core


def following() -> int:
    """How many threads wait for a load that another leads."""
    return len(threads._waiting.flights)


def waiters(function: Any) -> int:
    """How many tasks wait for loads of an async function, the leaders' own included."""
    flights = list(core(function).flights._flights.values())
    return sum(len(flight.waiters) for flight in flights)


def nothing_left(function: Any) -> bool:
    """Whether no load of `function` is under way and nobody waits for one.

    An interrupt can come before a thread has noted that it waits no more, for what is over by then.
    """
    waited_for = list(threads._waiting.flights.values())
    return not core(function).flights and all(flight.over for flight in waited_for)


def python(code: str, *, timeout: float = PATIENCE, **environment: str) -> str:
    """What `code` prints, run by an interpreter of its own, which must end well and in silence."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}: {done.stderr}"
    return done.stdout


def forked(child: Callable[[], Any], timeout: float = PATIENCE) -> str:
    """What `child` returns as text, run in a forked process; a child that hangs is a failure."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            os.close(read)
            said = repr(child())
        except BaseException as error:
            said = f"raised {error!r}"
        finally:
            os.write(write, said.encode()[:4000])
            os._exit(0)
    os.close(write)
    ended: list[int] = []
    reaper = threading.Thread(target=lambda: ended.append(os.waitpid(pid, 0)[1]), daemon=True)
    reaper.start()
    reaper.join(timeout)
    if not ended:
        os.kill(pid, 9)
        reaper.join()
        os.close(read)
        raise AssertionError("the forked child hangs")
    with os.fdopen(read) as told:
        return told.read()
