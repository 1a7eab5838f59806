"""What the tests of many ids at once share: a colour to run them in, and a function that loads."""

import asyncio
import contextvars
import functools
import gc
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from memo import AsyncCache, Cache, Policy, cached, configure
from memo.background import background
from memo.configuration import configured, restore
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend


class Colour:
    """Lets one test be written once and run for functions of both colours.

    `colour(func)` is `func` in this colour, and `colour.run(...)` what comes of a call.
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
        """Let what runs in the background end."""
        assert background.wait(10)

    def many(self, *func: Callable[..., Any], **options: Any) -> Any:
        """What `@cached.many(...)` makes of a plain function, in this colour."""
        if func:
            return cached.many(self(*func))
        return lambda func: cached.many(**options)(self(func))


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


class Source:
    """Where values come from: `source(ids)` has one for each id but those in `missing`.

    Attributes:
        asked: the ids of each call.
        missing: the ids that have no value.
        prefix: what each value begins with.
        fails: raised by each call, if there is one.
    """

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.missing: set[Any] = set()
        self.prefix = "v"
        self.fails: BaseException | None = None

    def __call__(self, ids: Iterable[Any]) -> Mapping[Any, str]:
        ids = list(ids)
        self.asked.append(ids)
        if self.fails is not None:
            raise self.fails
        return {one: f"{self.prefix}{one}" for one in ids if one not in self.missing}


@pytest.fixture
def source() -> Source:
    """Where values come from."""
    return Source()


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


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop to run coroutines in."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A store that answers late on a busy machine is not what these tests are about.

    What a test configures does not outlast it.
    """
    before = configured()
    configure(policy=Policy(timeout=30))
    yield
    restore(before)
