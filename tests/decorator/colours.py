"""The two colours of functions, so that one test is written once and run for both."""

import asyncio
import contextvars
import functools
import gc
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memo import AsyncCache, Cache, cached
from memo.background import background
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend

__all__ = ["AsyncColour", "Colour", "colour", "no_collection", "timer"]


class Colour:
    """Lets one test be written once and run for functions of both colours.

    `colour(func)` is `func` in this colour; `colour.run(...)` is what comes of a call, or of a call
    of a handle; `colour.settle()` lets what runs in the background end.
    """

    is_async = False
    cache: Any = Cache
    faulty: Any = FaultyBackend

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def run(self, result: Any) -> Any:
        assert not inspect.isawaitable(result)
        return result

    def settle(self) -> None:
        assert background.wait(10)

    def cached(self, *func: Callable[..., Any], **options: Any) -> Any:
        """What `@cached(...)` makes of a plain function, in this colour."""
        return self._decorated(cached, func, options)

    def many(self, *func: Callable[..., Any], **options: Any) -> Any:
        """What `@cached.many(...)` makes of a plain function, in this colour."""
        return self._decorated(cached.many, func, options)

    def _decorated(self, decorator: Any, func: Any, options: dict[str, Any]) -> Any:
        if func:
            return decorator(self(*func))
        return lambda func: decorator(**options)(self(func))


class AsyncColour(Colour):
    is_async = True
    cache = AsyncCache
    faulty = AsyncFaultyBackend

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
