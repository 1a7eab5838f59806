"""A Django cache, and any object that gets and sets, as backends."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest
from django.conf import settings
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache

import memo.backends
from memo import OperationFailed, Policy, cached
from memo.backends import DjangoBackend, ObjectBackend
from memo.backends.objects import AsyncObjectBackend
from memo.entry import Entry
from memo.testing import BackendSuite, FakeTimer

ROOM = {"OPTIONS": {"MAX_ENTRIES": 100_000}}
PATIENT = Policy(timeout=30)
NOW = 1_700_000_000.0

if not settings.configured:
    settings.configure()  # CACHES has "default", in local memory


class Store:
    """What somebody has: bytes under texts, and no idea of lifetimes."""

    def __init__(self):
        self.held = {}

    def get(self, key):
        return self.held.get(key)

    def set(self, key, data):
        assert type(key) is str
        assert type(data) is bytes
        self.held[key] = data

    def delete(self, key):
        del self.held[key]


class ClearingStore(Store):
    """The same, with a `clear`."""

    def clear(self):
        self.held.clear()


class AsyncStore(Store):
    """The same as coroutine functions, giving way to other tasks in the middle."""

    async def get(self, key):
        await asyncio.sleep(0)
        return self.held[key]

    async def set(self, key, data):
        await asyncio.sleep(0)
        self.held[key] = data

    async def delete(self, key):
        await asyncio.sleep(0)
        del self.held[key]

    async def clear(self):
        self.held.clear()


def of(value, ttl=60.0):
    """An entry made at `NOW`."""
    return Entry(value, NOW, NOW + ttl, NOW + ttl)


class TestDjangoInMemory(BackendSuite):
    room = 1000

    def make_backend(self):
        return DjangoBackend(LocMemCache(f"test {id(self)}", ROOM))


class TestDjangoInFiles(BackendSuite):
    room = 30

    @pytest.fixture
    def backend(self, tmp_path):
        return DjangoBackend(FileBasedCache(str(tmp_path), ROOM))


class TestDjangoByAlias(BackendSuite):
    room = 50  # of the 300 that Django has by default

    def make_backend(self):
        return DjangoBackend("default", namespace="by alias")


class TestObject(BackendSuite):
    room = 1000

    def make_backend(self):
        return ObjectBackend(ClearingStore())


class TestAsyncObject(BackendSuite):
    room = 1000

    def make_backend(self):
        return AsyncObjectBackend(AsyncStore())


def test_django_is_told_the_lifetime():
    """In seconds, rounded up, and one more; None for ever; what is past is dropped."""
    told = {}

    class Cache(LocMemCache):
        def set(self, key, value, timeout=0, **more):
            told[value[-1:]] = timeout
            super().set(key, value, timeout, **more)

    backend = DjangoBackend(Cache("lifetimes", ROOM)).using(
        memo.serializers.Codec(), FakeTimer(NOW)
    )
    data = backend.write_bytes
    data("n::a", b"1", of(0, ttl=0.3), None)
    data("n::b", b"2", of(0, ttl=60), None)
    data("n::c", b"3", Entry(0, NOW), None)
    assert told == {b"1": 2, b"2": 61, b"3": None}
    data("n::c", b"4", of(0, ttl=-1), None)
    assert backend.read_bytes("n::c", None) is None
    assert backend.read_bytes("n::b", None) == b"2"


def test_django_clears_a_namespace_or_a_scope_and_nothing_else():
    """What the project has in its cache stays, and other namespaces."""
    cache = LocMemCache("clearing", ROOM)
    cache.set("session", "the project's own")
    one, other = DjangoBackend(cache, namespace="one"), DjangoBackend(cache, namespace="other")
    now = one.timer()
    for backend in (one, other):
        for scope in ("f", "g"):
            backend.write((scope, (1,)), Entry(scope, now))
    one.clear_scope("f")
    assert one.read(("f", (1,))) is None
    assert one.read(("g", (1,))).value == "g"
    one.clear()
    assert one.read(("g", (1,))) is None
    assert other.read(("f", (1,))).value == "f"
    assert cache.get("session") == "the project's own"


def test_django_may_drop_whatever_it_likes():
    """Overfull, it culls at random, tokens included: what is gone is gone, and nothing is wrong."""
    backend = DjangoBackend(LocMemCache("small", {"OPTIONS": {"MAX_ENTRIES": 20}}))
    now = backend.timer()
    for number in range(500):
        backend.write(number, Entry(number, now))
        assert backend.read(number).value == number
        for older in range(max(0, number - 10), number):
            found = backend.read(older)
            assert found is None or found.value == older


def test_what_others_put_under_our_keys_is_a_failure():
    """Neither a value nor a miss."""
    cache = LocMemCache("foreign", ROOM)
    backend = DjangoBackend(cache)
    backend.write("k", Entry("value", backend.timer()))
    cache.set(backend._name("k"), ["not", "bytes"])
    with pytest.raises(OperationFailed, match="list that was not stored by memo") as caught:
        backend.read("k")
    assert caught.value.codec
    store = Store()
    backend = ObjectBackend(store)
    backend.write("k", Entry("value", backend.timer()))
    store.held[backend._name("k")] = "text"
    with pytest.raises(OperationFailed, match="str that was not stored by memo"):
        backend.read("k")


def test_functions_of_both_colours_on_a_django_cache():
    """Async functions call it in threads."""
    backend = DjangoBackend("default", namespace="functions")
    ran = []

    @cached(ttl=60, backend=backend, name="plain", policy=PATIENT)
    def plain(number: int) -> tuple[int, str]:
        ran.append(number)
        return number, threading.current_thread().name

    @cached(ttl=60, backend=backend, name="async", policy=PATIENT)
    async def asynchronous(number: int) -> list[int]:
        ran.append(number)
        return [number]

    async def twice():
        return [await asynchronous(2), await asynchronous(2)]

    assert plain(1) == plain(1)
    assert asyncio.run(twice()) == [[2], [2]]
    assert ran == [1, 2]
    plain.cache_clear()
    assert plain.lookup(1).status == "miss"
    assert asyncio.run(asynchronous.lookup(2)).hit


def test_an_alias_that_is_none_is_told_at_once():
    """Before anything is decorated with it."""
    with pytest.raises(ValueError, match=r"cache='nowhere'.*nowhere"):
        DjangoBackend("nowhere")


@pytest.mark.parametrize("wrong", [None, 5, {}, LocMemCache])
def test_what_is_no_django_cache_is_refused(wrong):
    """The error names what was given and what is wanted."""
    with pytest.raises(TypeError, match=r"cache=.*: takes the alias of a Django cache"):
        DjangoBackend(wrong)


def test_without_django_the_error_says_what_to_install():
    """And only who asks for an alias needs it."""
    program = (
        "import sys; sys.modules['django'] = None\n"
        "from memo.backends import DjangoBackend, ObjectBackend\n"
        "try:\n    DjangoBackend('default')\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install django" in done.stdout


def test_an_object_without_clear_says_so():
    """Clearing is an OperationFailed; all else works."""
    backend = ObjectBackend(Store())
    with pytest.raises(OperationFailed, match="Store has no method clear") as caught:
        backend.clear()
    assert caught.value.operation == "clear"

    @cached(backend=backend, name="f", policy=Policy.strict(timeout=30))
    def f(number: int) -> int:
        return number

    assert f(1) == f(1) == 1
    assert f.invalidate(1) is True
    with pytest.raises(OperationFailed, match="no method clear"):
        f.cache_clear()


def test_how_an_object_is_told_a_lifetime():
    """`store` gets key, bytes and seconds, whatever the object makes of them."""
    store, told = Store(), []

    def setex(key, data, ttl):
        told.append(ttl)
        store.set(key, data)

    backend = ObjectBackend(store, store=setex).using(memo.serializers.Codec(), FakeTimer(NOW))
    backend.write("k", of("value", ttl=0.3))
    backend.write("k", Entry("value", NOW))
    assert told == [pytest.approx(0.3), None]
    backend.write("k", of("value", ttl=-1))
    assert store.held == {}
    assert backend.delete("k") is False


def test_an_async_object_is_told_a_lifetime_too():
    """By a coroutine function."""
    store, told = AsyncStore(), []

    async def setex(key, data, ttl):
        told.append(ttl)
        await store.set(key, data)

    backend = AsyncObjectBackend(store, store=setex)
    backend = backend.using(memo.serializers.Codec(), FakeTimer(NOW))

    async def use():
        await backend.write("k", of("value", ttl=5))
        found = await backend.read("k")
        await backend.write("k", of("value", ttl=-1))
        return found

    assert asyncio.run(use()).value == "value"
    assert told == [5]
    assert store.held == {}


def test_what_the_object_holds_is_what_the_codec_made():
    """JSON for people who read it."""
    store = ClearingStore()

    @cached(ttl=60, backend=ObjectBackend(store), serializer="json", name="f", policy=PATIENT)
    def f(number: int) -> dict[str, int]:
        return {"number": number}

    f(5)
    (data,) = store.held.values()
    assert '"number":5' in json.dumps(json.loads(data), separators=(",", ":"))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ObjectBackend(object()), r"no get, set, delete"),
        (lambda: ObjectBackend(Store), "not its class"),
        (lambda: ObjectBackend(AsyncStore()), "AsyncObjectBackend is for these"),
        (lambda: AsyncObjectBackend(Store()), "; ObjectBackend is for these"),
        (lambda: ObjectBackend(Store(), store=60), "store=60: takes a callable"),
    ],
)
def test_what_cannot_be_adapted_is_refused(make, why):
    """The error names the option and what is wanted."""
    with pytest.raises(TypeError, match=why):
        make()
