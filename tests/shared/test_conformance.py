"""What the base classes make of a dict of bytes is a backend, in both colours."""

from typing import Any

from shared.kept import AsyncKept, Kept

from memo.testing import AsyncFaultyBackend, BackendSuite, FaultyBackend


class TestKept(BackendSuite):
    """Four methods over bytes pass the whole suite."""

    room = 2000

    def make_backend(self) -> Any:
        return Kept()


class TestAsyncKept(BackendSuite):
    """So do four coroutine functions."""

    room = 2000

    def make_backend(self) -> Any:
        return AsyncKept()


class TestFaultyKept(BackendSuite):
    """A faulty backend without faults is as good as the one inside."""

    room = 200

    def make_backend(self) -> Any:
        return FaultyBackend(Kept())


class TestAsyncFaultyKept(BackendSuite):
    """The same for the async ones."""

    room = 200

    def make_backend(self) -> Any:
        return AsyncFaultyBackend(AsyncKept())
