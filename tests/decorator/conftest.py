"""What the tests of the decorator share: a colour to run them in, and a clock."""

import asyncio
import contextvars
import functools
import gc
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from memo import AsyncCache, Cache, cached
from memo.background import background
from memo.testing import FakeTimer


class Colour:
    """Lets one test be written once and run for functions of both colours.

    `colour(func)` is `func` in this colour; `colour.run(...)` is what comes of a call, or of a call
    of a handle; `colour.settle()` lets what runs in the background end.
    """

    is_async = False
    cache: Any = Cache

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def run(self, result: Any) -> Any:
        assert not inspect.isawaitable(result)
        return result

    def settle(self) -> None:
        assert background.wait(10)

    def cached(self, *func: Callable[..., Any], **options: Any) -> Any:
        """What `@cached(...)` makes of a plain function, in this colour."""
        if func:
            return cached(self(*func))
        return lambda func: cached(**options)(self(func))


class AsyncColour(Colour):
    is_async = True
    cache = AsyncCache

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        async def coloured(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        return coloured

    def run(self, result: Any) -> Any:
        assert inspect.iscoroutine(result)
        return self.runner.run(result, context=contextvars.copy_context())

    def settle(self) -> None:
        async def wait() -> None:
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.gather(*others, return_exceptions=True)

        self.runner.run(wait())


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Colour]:
    """Both colours, one after the other."""
    if request.param == "sync":
        yield Colour()
    else:
        with asyncio.Runner() as runner:
            yield AsyncColour(runner)


class FailingMapping(MutableMapping[Any, Any]):
    """A mapping whose operations fail: all while `failing` is True, else those it names."""

    def __init__(self, failing: bool | tuple[str, ...] = True) -> None:
        self.failing = failing
        self.held: dict[Any, Any] = {}

    def _check(self, operation: str) -> None:
        if self.failing is True or (self.failing and operation in self.failing):
            raise ConnectionError("no connection")

    def __getitem__(self, key: Any) -> Any:
        self._check("read")
        return self.held[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check("write")
        self.held[key] = value

    def __delitem__(self, key: Any) -> None:
        self._check("delete")
        del self.held[key]

    def __iter__(self) -> Iterator[Any]:
        self._check("clear")
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


@pytest.fixture
def failing_mapping() -> type[FailingMapping]:
    """Mappings that fail to order."""
    return FailingMapping


@pytest.fixture
def timer() -> FakeTimer:
    """A clock that stands still."""
    return FakeTimer()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No cycles are collected meanwhile: what dies, dies by its reference count."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
