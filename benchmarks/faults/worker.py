"""Callers of one cached function, for so many seconds, in a process of their own.

    python worker.py PEER HOST PORT SECONDS OUT

Writes a JSON list with `[began, added, outcome, hit]` for each call: the moment
(`time.monotonic()`), the seconds that it took beyond the function itself, "ok", "wrong" or the name
of the exception, and whether the function was not called.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

KEYS = 100
TTL = 300
#: Seconds that the function takes.
WORK = 0.002
THREADS, THREAD_PACE = 8, 0.002
TASKS, TASK_PACE = 50, 0.0125

_own: contextvars.ContextVar[list[float]] = contextvars.ContextVar("own")

Calls = list[tuple[float, float, str, bool]]


def answer(key: int) -> dict[str, int]:
    """What is cached."""
    began = time.monotonic()
    time.sleep(WORK)
    _own.get([0.0])[0] += time.monotonic() - began
    return {"key": key, "square": key * key}


async def answer_async(key: int) -> dict[str, int]:
    """The same for tasks."""
    began = time.monotonic()
    await asyncio.sleep(WORK)
    _own.get([0.0])[0] += time.monotonic() - began
    return {"key": key, "square": key * key}


# The peers, each as its documentation recommends; "tuned": with its timeouts set to 100 ms.


def _memo(host: str, port: str, *, tuned: bool, asynchronous: bool = False) -> Any:
    from memo import Breaker, Policy, cached

    policy = Policy(timeout=0.1, breaker=Breaker(failures=5, probe_every=1.0))
    function = answer_async if asynchronous else answer
    return cached(ttl=TTL, backend=f"redis://{host}:{port}/0", policy=policy)(function)


def _memo_async(host: str, port: str, *, tuned: bool) -> Any:
    return _memo(host, port, tuned=tuned, asynchronous=True)


def _dogpile(host: str, port: str, *, tuned: bool) -> Any:
    from dogpile.cache import make_region

    arguments: dict[str, Any] = {
        "host": host,
        "port": int(port),
        "db": 0,
        "redis_expiration_time": 2 * TTL,
        "distributed_lock": True,
        "thread_local_lock": False,
    }
    if tuned:
        arguments["socket_timeout"] = 0.1
    region = make_region().configure(
        "dogpile.cache.redis", expiration_time=TTL, arguments=arguments
    )
    return region.cache_on_arguments()(answer)


def _aiocache(host: str, port: str, *, tuned: bool) -> Any:
    from aiocache import Cache, cached
    from aiocache.serializers import JsonSerializer

    more = {"timeout": 0.1} if tuned else {}
    decorate = cached(
        ttl=TTL,
        cache=Cache.REDIS,
        serializer=JsonSerializer(),
        endpoint=host,
        port=int(port),
        namespace="main",
        **more,
    )
    return decorate(answer_async)


def _cashews(host: str, port: str, *, tuned: bool) -> Any:
    from cashews import Cache

    cache = Cache()
    more = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1} if tuned else {}
    cache.setup(f"redis://{host}:{port}/0", **more)
    return cache(ttl=TTL, key="answer:{key}")(answer_async)


PEERS: dict[str, tuple[Callable[..., Any], bool, bool]] = {
    "memo": (_memo, False, False),
    "dogpile": (_dogpile, False, False),
    "dogpile, 100 ms": (_dogpile, True, False),
    "memo, async": (_memo_async, False, True),
    "cashews": (_cashews, False, True),
    "cashews, 100 ms": (_cashews, True, True),
    "aiocache": (_aiocache, False, True),
    "aiocache, 100 ms": (_aiocache, True, True),
}


def _outcome(value: Any, key: int) -> str:
    return "ok" if value == {"key": key, "square": key * key} else "wrong"


def run_threads(function: Callable[[int], Any], until: float) -> Calls:
    """Call from threads until then."""
    calls: Calls = []

    def work(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < until:
            key = chance.randrange(KEYS)
            own = [0.0]
            _own.set(own)
            began = time.monotonic()
            try:
                outcome = _outcome(function(key), key)
            except Exception as error:
                outcome = type(error).__name__
            took = time.monotonic() - began
            calls.append((began, took - own[0], outcome, own[0] == 0))
            time.sleep(THREAD_PACE)

    crew = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join(max(0.0, until + 1 - time.monotonic()))
    return calls


async def run_tasks(function: Callable[[int], Awaitable[Any]], until: float) -> Calls:
    """Call from tasks until then."""
    calls: Calls = []

    async def work(number: int) -> None:
        chance = random.Random(number)
        await asyncio.sleep(TASK_PACE * number / TASKS)
        while time.monotonic() < until:
            key = chance.randrange(KEYS)
            own = [0.0]
            _own.set(own)
            began = time.monotonic()
            try:
                outcome = _outcome(await function(key), key)
            except Exception as error:
                outcome = type(error).__name__
            took = time.monotonic() - began
            calls.append((began, took - own[0], outcome, own[0] == 0))
            await asyncio.sleep(TASK_PACE)

    crew = [asyncio.ensure_future(work(number)) for number in range(TASKS)]
    await asyncio.wait(crew, timeout=max(0.0, until + 1 - time.monotonic()))
    for task in crew:
        task.cancel()
    return calls


def main() -> None:
    """Call, and write what came of it."""
    logging.disable(logging.CRITICAL)
    peer, host, port, seconds, out = sys.argv[1:]
    make, tuned, asynchronous = PEERS[peer]
    function = make(host, port, tuned=tuned)
    until = time.monotonic() + float(seconds)
    if asynchronous:
        calls = asyncio.run(run_tasks(function, until))
    else:
        calls = run_threads(function, until)
    Path(out).write_text(json.dumps(calls))


if __name__ == "__main__":
    main()
