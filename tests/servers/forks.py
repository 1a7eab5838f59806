"""Forks of a process whose threads, and whose loop, are at work on a backend."""

import asyncio
import os
import threading
import traceback

import pytest

__all__ = ["FORKS", "NEEDS_FORK", "Users", "in_child"]

NEEDS_FORK = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # From 3.12 on Python warns of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: MEMO_FORKS=200 for the full count.
FORKS = int(os.environ.get("MEMO_FORKS", "10"))


def in_child(work):
    """Run `work` in a forked child, and see that it succeeds there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Users:
    """Who writes and reads values of their own, and notes any that is not.

    Args:
        backend: of blocking methods, with a twin.
        entry: makes an entry of a value.
    """

    def __init__(self, backend, entry):
        self.backend = backend
        self.entry = entry
        self.wrong = []
        self.over = threading.Event()
        works = [lambda number=number: self.use(number) for number in range(3)]
        works.append(lambda: asyncio.run(self.use_async("loop")))
        self.threads = [threading.Thread(target=self.go_on, args=(work,)) for work in works]

    def use(self, who):
        for turn in range(5):
            self.backend.write(who, self.entry((who, turn)))
            if self.backend.read(who).value != (who, turn):
                self.wrong.append(who)

    async def use_async(self, who):
        backend = self.backend.twin
        for turn in range(5):
            await backend.write(who, self.entry((who, turn)))
            if (await backend.read(who)).value != (who, turn):
                self.wrong.append(who)

    def go_on(self, work):
        while not self.over.is_set():
            work()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
