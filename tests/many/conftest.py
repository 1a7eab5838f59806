"""What the tests of many ids at once share: a colour to run them in, and a function that loads."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from decorator.colours import colour, no_collection, timer

from memo import Policy, configure
from memo.configuration import configured, restore

__all__ = ["colour", "no_collection", "timer"]


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
