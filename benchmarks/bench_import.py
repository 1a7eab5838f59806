"""How long an import takes, in a fresh interpreter that has compiled everything before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from peers import Peer, names

PROBE = """
import time
{before}
started = time.perf_counter()
import {module}
print(time.perf_counter() - started)
"""


class Clock:
    """Goes on by what other processes have measured, and not otherwise."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


clock = Clock()


def imported(module: str, before: str = "") -> Any:
    """What moves the clock by the time of one import."""
    probe = [sys.executable, "-c", PROBE.format(module=module, before=before)]
    # What was compiled before is found again, whatever this process was told about that.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        done = subprocess.run(probe, check=True, capture_output=True, text=True, env=inherited)
        clock.now += float(done.stdout)

    return run


def _of(module: str, before: str = "") -> Any:
    return lambda function, maxsize: imported(module, before)


PEERS = [
    Peer("memo", "memo-cache", _of("memo")),
    Peer("memo beyond its dependencies", None, _of("memo", "import wrapt, cachetools")),
    Peer("functools", None, _of("functools")),
    Peer("asyncio", None, _of("asyncio")),
    Peer("wrapt", "wrapt", _of("wrapt")),
    Peer("cachetools", "cachetools", _of("cachetools")),
    Peer("cachebox", "cachebox", _of("cachebox")),
    Peer("theine", "theine", _of("theine")),
    Peer("async-lru", "async-lru", _of("async_lru")),
    Peer("aiocache", "aiocache", _of("aiocache")),
    Peer("cashews", "cashews", _of("cashews")),
    Peer("dogpile.cache", "dogpile.cache", _of("dogpile.cache")),
    Peer("diskcache", "diskcache", _of("diskcache")),
]


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(**names(PEERS))
def test_import(measure: Any, peer: Peer) -> None:
    """The import of a package, with all that it imports."""
    measure("import", peer, peer(None), calls=1, rounds=3)
