"""Plain and async functions on one store: who uses what, and what they share."""

import asyncio
import inspect
import threading
from pathlib import Path
from typing import Any

from shared.kept import AsyncKept, Kept

from memo import AsyncCache, Cache, cached

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def test_the_page_shows_this_backend() -> None:
    """docs/backends.md has the very class that is tested here."""
    assert inspect.getsource(Kept) in PAGE.read_text("utf-8")


def _plain(number: int) -> int:
    return 2 * number


async def _awaited(number: int) -> int:
    return 2 * number


class Watched(Kept):
    """Tells which threads have asked it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.threads: set[int] = set()

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        self.threads.add(threading.get_ident())
        return super().read_bytes(name, deadline)


class Twinned(Watched):
    """Has an async sibling on the same bytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sibling = AsyncKept(self.held, **options)
        self.sibling.origin = self

    @property
    def twin(self) -> AsyncKept:
        """The async backend on the same bytes."""
        return self.sibling.using(self.codec, self.timer)


def test_an_async_function_may_use_a_blocking_store() -> None:
    """Its operations run in other threads than the loop's."""
    store = Watched()
    f = cached(backend=store)(_awaited)

    async def main() -> int:
        assert await f(1) == await f(1) == 2
        return threading.get_ident()

    here = asyncio.run(main())
    assert f.cache_info()[:2] == (1, 1)
    assert store.threads
    assert here not in store.threads


def test_an_async_function_uses_the_twin_of_a_blocking_store() -> None:
    """Where there is one, no thread is needed, and both colours see the same entries."""
    store = Twinned()
    f = cached(backend=store, name="f")(_awaited)
    g = cached(backend=store, name="f")(_plain)

    async def main() -> None:
        assert await f(1) == 2
        assert await f.get(1) == 2

    asyncio.run(main())
    assert store.threads == set()
    assert g.get(1) == 2
    assert g.invalidate(1)
    assert asyncio.run(f.lookup(1)).status == "miss"


def test_caches_of_both_colours_share_a_namespace() -> None:
    """What one has set the other gets, many at once included."""
    store = Twinned()
    cache = Cache(store, namespace="users")
    cache.set_many({1: "Ann", 2: "Bob"})

    async def main() -> None:
        async with AsyncCache(store, namespace="users") as other:
            assert await other.get_many([1, 2, 3]) == {1: "Ann", 2: "Bob"}
            await other.delete(1)

    asyncio.run(main())
    assert cache.get_many([1, 2]) == {2: "Bob"}


def test_functions_decorated_by_a_cache_use_its_store() -> None:
    """`cache.cached` on a shared store keeps to the rules of identity."""
    store = Kept()
    cache = Cache(store, namespace="users", ttl=60)
    f = cache.cached(_plain)
    f(1)
    assert f(1) == 2
    assert f.cache_info()[:2] == (1, 1)
    assert cache.get_many([1, (1,)]) == {}
    assert cached(backend=store)(_plain).get(1) == 2
    cache.clear()
    assert f.get(1) == 2


def test_many_ids_are_one_question() -> None:
    """A store that takes many at once is asked once for all, and told once."""
    asked: list[tuple[str, int]] = []

    class Batched(Kept):
        def read_many_bytes(self, names: Any, deadline: float | None) -> dict[str, bytes]:
            names = list(names)
            asked.append(("read", len(names)))
            return super().read_many_bytes(names, deadline)

        def write_many_bytes(self, items: Any, deadline: float | None) -> int | None:
            asked.append(("write", len(items)))
            return super().write_many_bytes(items, deadline)

    f = cached.many(backend=Batched(), name="batched")(lambda ids: {one: -one for one in ids})
    assert f(range(50)) == {one: -one for one in range(50)}
    assert ("write", 50) in asked
    asked.clear()
    assert f(range(60)) == {one: -one for one in range(60)}
    assert asked[0] == ("read", 60)
    assert asked[-1] == ("write", 10)
    asked.clear()
    assert len(f(range(60))) == 60
    assert asked == [("read", 60)]
