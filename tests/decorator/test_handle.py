"""The handle of a decorated function: what hangs on it besides the call."""

import asyncio
import inspect

import pytest

from memo import (
    CALL,
    RAISE,
    STALE,
    Expired,
    Miss,
    OperationFailed,
    Outcome,
    Policy,
    cached,
    raise_as,
)

AWAITED = ("get", "lookup", "set", "invalidate", "refresh", "prewarm", "cache_clear")
PLAIN = ("cache_key", "cache_info", "cache_parameters")


class NotFoundError(Exception):
    """An exception of the program's."""


@pytest.fixture
def f(colour, timer):
    """A function with a ttl of ten seconds that gives how often it ran."""
    runs = []

    @colour.cached(ttl=10, timer=timer)
    def f(a, b=2):
        runs.append((a, b))
        return len(runs)

    f.runs = runs
    return f


def test_the_handle_has_the_colour_of_the_function(colour) -> None:
    """What may wait is a coroutine function on an async function, and the rest is plain."""
    g = colour.cached(lambda: 1)
    for name in AWAITED:
        assert inspect.iscoroutinefunction(getattr(g, name)) is colour.is_async
    for name in PLAIN:
        assert not inspect.iscoroutinefunction(getattr(g, name))


def test_get_gives_what_is_cached_and_never_calls(colour, f, timer) -> None:
    """`get` is the value or `Miss` or `Expired`; the function does not run."""
    with pytest.raises(Miss) as missed:
        colour.run(f.get(1))
    assert missed.value.key == f.cache_key(1)
    assert colour.run(f(1)) == 1
    assert colour.run(f.get(1)) == colour.run(f.get(a=1, b=2)) == 1
    timer.advance(10)
    with pytest.raises(Expired) as expired:
        colour.run(f.get(1))
    assert (expired.value.value, expired.value.age) == (1, 10)
    assert len(f.runs) == 1


def test_get_ignores_call_and_obeys_stale_and_raise_as(colour, timer) -> None:
    """For `get`, `CALL` in the policy means to raise; `STALE` and `raise_as` are obeyed."""
    policy = Policy(miss=raise_as(NotFoundError), expired=STALE)
    g = colour.cached(ttl=10, timer=timer, policy=policy)(lambda a: a)
    with pytest.raises(NotFoundError) as caught:
        colour.run(g.get(1))
    assert isinstance(caught.value.__cause__, Miss)
    colour.run(g.set(5, 1))
    timer.advance(100)
    assert colour.run(g.get(1)) == 5
    assert g.cache_info().stale_hits == 1


def test_get_serves_the_window_of_stale_while_revalidate(colour, timer) -> None:
    """Within the window `get` gives what a call would give."""
    g = colour.cached(ttl=10, stale_while_revalidate=10, timer=timer)(lambda: 1)
    colour.run(g())
    timer.advance(15)
    assert colour.run(g.get()) == 1
    timer.advance(15)
    with pytest.raises(Expired):
        colour.run(g.get())


def test_get_raises_what_failed(colour, failing_mapping) -> None:
    """A read that fails is `OperationFailed` from `get`, with the foreign error as its cause."""
    store = failing_mapping(failing=False)
    g = colour.cached(backend=store)(lambda: 1)
    colour.run(g())
    store.failing = True
    with pytest.raises(OperationFailed) as caught:
        colour.run(g.get())
    assert caught.value.operation == "read"
    assert isinstance(caught.value.__cause__, ConnectionError)
    info = g.cache_info()
    assert (info.misses, info.failures) == (2, 1)


def test_get_raises_a_remembered_exception(colour) -> None:
    """Where an exception is what is cached, `get` raises it as a call would."""

    @colour.cached(cache_exceptions={NotFoundError: 60})
    def g():
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError):
        colour.run(g())
    with pytest.raises(NotFoundError, match="gone"):
        colour.run(g.get())


def test_get_of_what_cannot_be_a_key_is_a_failure(colour) -> None:
    """Arguments that cannot be hashed are `OperationFailed` from `get`, and a `failed` outcome."""
    g = colour.cached(lambda a: a)
    thing = type("Unhashable", (), {"__hash__": None})()
    with pytest.raises(OperationFailed, match="key") as caught:
        colour.run(g.get(thing))
    assert caught.value.operation == "key"
    assert isinstance(caught.value.__cause__, TypeError)
    outcome = colour.run(g.lookup(thing))
    assert outcome.status == "failed"
    assert isinstance(outcome.error, OperationFailed)
    assert colour.run(g.set(1, thing)) is False
    assert colour.run(g.invalidate(thing)) is False
    assert colour.run(g.refresh(thing)) is thing
    with pytest.raises(OperationFailed) as caught:
        g.cache_key(thing)
    assert isinstance(caught.value.__cause__, TypeError)


def test_lookup_tells_all_there_is_to_tell(colour, timer) -> None:
    """Fresh, stale, expired and miss, with value and age, and the error that stands in the way."""
    g = colour.cached(ttl=10, stale_while_revalidate=5, timer=timer)(lambda a: [a])
    miss = colour.run(g.lookup(1))
    assert isinstance(miss, Outcome)
    assert (miss.status, miss.value, miss.age, miss.hit) == ("miss", None, None, False)
    assert isinstance(miss.error, Miss)
    value = colour.run(g(1))
    timer.advance(4)
    fresh = colour.run(g.lookup(1))
    assert (fresh.status, fresh.age, fresh.hit, fresh.error) == ("fresh", 4, True, None)
    assert fresh.value is value
    timer.advance(8)
    stale = colour.run(g.lookup(1))
    assert (stale.status, stale.value, stale.age, stale.hit) == ("stale", [1], 12, True)
    timer.advance(8)
    expired = colour.run(g.lookup(1))
    assert (expired.status, expired.value, expired.age) == ("expired", [1], 20)
    assert isinstance(expired.error, Expired)
    assert not expired.hit
    assert g.cache_info().loads == 1


def test_lookup_never_raises_and_never_counts(colour, failing_mapping) -> None:
    """A failing backend is an outcome, under the strictest policy too."""
    store = failing_mapping(failing=False)
    heard = []
    policy = Policy.strict(miss=RAISE, expired=RAISE, on_error=heard.append)
    g = colour.cached(backend=store, policy=policy)(lambda: 1)
    store.failing = True
    outcome = colour.run(g.lookup())
    assert outcome.status == "failed"
    assert isinstance(outcome.error, OperationFailed)
    assert isinstance(outcome.error.__cause__, ConnectionError)
    info = g.cache_info()
    assert (info.hits, info.misses, info.failures) == (0, 0, 0)


def test_lookup_shows_a_remembered_exception(colour) -> None:
    """A cached exception is the outcome's error, and the status says that it is fresh."""

    @colour.cached(cache_exceptions={NotFoundError: 60})
    def g():
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError):
        colour.run(g())
    outcome = colour.run(g.lookup())
    assert (outcome.status, outcome.value) == ("fresh", None)
    assert isinstance(outcome.error, NotFoundError)


def test_set_stores_what_a_call_then_gives(colour, f, timer) -> None:
    """`set(value, ...)` is True, replaces what was there, and has the function's ttl."""
    assert colour.run(f.set("mine", 1)) is True
    assert colour.run(f(1)) == colour.run(f(a=1, b=2)) == "mine"
    assert colour.run(f.set("other", a=1)) is True
    assert colour.run(f(1)) == "other"
    assert f.runs == []
    timer.advance(10)
    assert colour.run(f(1)) == 1


def test_set_says_when_nothing_was_stored(colour, failing_mapping) -> None:
    """A value that cannot be stored gives False under an absorbing policy."""
    store = failing_mapping(failing=False)
    g = colour.cached(backend=store)(lambda: 1)
    store.failing = True
    assert colour.run(g.set(5)) is False
    g = colour.cached(maxsize=3, getsizeof=len)(lambda: "x")
    assert colour.run(g.set("xxxx")) is False
    assert colour.run(g.set("xx")) is True
    assert colour.run(g()) == "xx"


def test_set_does_not_keep_what_it_could_not_replace(colour) -> None:
    """Where the new value does not fit, the old one does not answer for it."""
    g = colour.cached(maxsize=3, getsizeof=len)(lambda: "x")
    colour.run(g())
    assert colour.run(g.set("xxxx")) is False
    assert colour.run(g.lookup()).value != "x"


def test_invalidate_drops_one_key(colour, f) -> None:
    """`invalidate` is True where there was something, False where not; others stay."""
    for a in (1, 2):
        colour.run(f(a))
    assert colour.run(f.invalidate(a=1)) is True
    assert colour.run(f.invalidate(1)) is False
    assert colour.run(f.lookup(1)).status == "miss"
    assert colour.run(f(2)) == 2
    assert colour.run(f(1)) == 3


def test_invalidate_that_fails_is_false_or_raises(colour, failing_mapping) -> None:
    """Under `absorb` a failed drop is False and heard; under `strict` it is raised."""
    store, heard = failing_mapping(failing=False), []
    g = colour.cached(backend=store, policy=Policy.absorb(on_error=heard.append))(lambda: 1)
    h = colour.cached(backend=store, policy=Policy.strict())(lambda: 1)
    for one in (g, h):
        colour.run(one())
    store.failing = True
    assert colour.run(g.invalidate()) is False
    assert [type(error) for error in heard] == [OperationFailed]
    with pytest.raises(OperationFailed) as caught:
        colour.run(h.invalidate())
    assert caught.value.operation == "delete"


def test_refresh_recomputes_stores_and_returns(colour, f, timer) -> None:
    """`refresh` runs the function whatever is cached, and starts the lifetime again."""
    assert colour.run(f(1)) == 1
    timer.advance(5)
    assert colour.run(f.refresh(1)) == 2
    assert colour.run(f(1)) == 2
    timer.advance(5)
    assert colour.run(f(1)) == 2
    assert colour.run(f.refresh(7)) == 3
    assert colour.run(f(7)) == 3


def test_refresh_raises_what_the_function_raises(colour) -> None:
    """An exception in `refresh` reaches the caller, and what was cached stays."""
    runs = []

    @colour.cached
    def g():
        runs.append(1)
        if len(runs) == 2:
            raise NotFoundError("now")
        return len(runs)

    colour.run(g())
    with pytest.raises(NotFoundError) as caught:
        colour.run(g.refresh())
    assert caught.value.__context__ is None
    assert colour.run(g()) == 1


def test_refresh_under_a_cache_only_policy_calls_all_the_same(colour) -> None:
    """`refresh` is how a cache that is only read gets filled."""
    g = colour.cached(policy=Policy.cache_only())(lambda a: 2 * a)
    assert colour.run(g.refresh(2)) == 4
    assert colour.run(g(2)) == 4


def test_cache_clear_drops_everything(colour, f) -> None:
    """After `cache_clear` each call computes anew."""
    for a in range(5):
        colour.run(f(a))
    assert colour.run(f.cache_clear()) is None
    assert f.cache_info() == (0, 0, 1024, 0)
    assert colour.run(f.lookup(1)).status == "miss"
    assert colour.run(f(1)) == 6


def test_cache_clear_of_a_failing_store(colour, failing_mapping) -> None:
    """Under `absorb` a failed clear is no exception; under `strict` it is `OperationFailed`."""
    for policy in (Policy.absorb(), Policy.strict()):
        store = failing_mapping(failing=False)
        g = colour.cached(backend=store, policy=policy)(lambda: 1)
        colour.run(g())
        store.failing = True
        if policy == Policy.absorb():
            colour.run(g.cache_clear())
        else:
            with pytest.raises(OperationFailed) as caught:
                colour.run(g.cache_clear())
            assert caught.value.operation == "clear"


def test_cache_key_is_equal_for_equal_calls(f) -> None:
    """`cache_key` is hashable, one for calls that are one, another for others; no call is made."""
    assert f.cache_key(1) == f.cache_key(a=1) == f.cache_key(1, 2) == f.cache_key(1, b=2)
    assert f.cache_key(1) != f.cache_key(1, 3)
    assert len({f.cache_key(1), f.cache_key(a=1), f.cache_key(2)}) == 2
    assert f.runs == []


@pytest.mark.parametrize("handle", ["get", "lookup", "invalidate", "refresh", "cache_key"])
def test_a_handle_call_that_does_not_fit_is_a_type_error(colour, f, handle) -> None:
    """Arguments that do not fit the signature are a TypeError that names what does not fit."""
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"c": 3}), ((1,), {"a": 1})]:

        def call(args=args, kwargs=kwargs):
            result = getattr(f, handle)(*args, **kwargs)
            return result if handle == "cache_key" else colour.run(result)

        with pytest.raises(TypeError, match="argument"):
            call()
    assert f.runs == []


def test_set_without_a_value_is_a_type_error(colour, f) -> None:
    """`set` takes the value first, and the arguments after it."""
    with pytest.raises(TypeError):
        f.set()
    with pytest.raises(TypeError, match="argument"):
        colour.run(f.set("value"))


def test_wrapped_is_the_users_function_itself(colour) -> None:
    """`__wrapped__` is what was decorated, and calling it leaves the cache alone."""
    runs = []

    def plain(a):
        runs.append(a)
        return a

    inner = colour(plain)
    g = cached(inner)
    assert g.__wrapped__ is inner
    assert colour.run(g.__wrapped__(1)) == 1
    assert g.cache_info() == (0, 0, 1024, 0)
    colour.run(g(1))
    assert g.__wrapped__ is inner


def test_prewarm_fills_ahead_of_traffic(colour, f) -> None:
    """`prewarm` loads what is not fresh, says how many, and later calls are hits."""
    colour.run(f.set("there", 1))
    done = colour.run(f.prewarm([(1,), (2,), (3, 4)]))
    assert done == (2, 1, 0)
    assert (done.loaded, done.fresh, done.failed) == (2, 1, 0)
    assert sorted(f.runs) == [(2, 2), (3, 4)]
    assert colour.run(f(1)) == "there"
    assert colour.run(f(2)) in {1, 2}
    assert f.cache_info()[:2] == (2, 0)


def test_prewarm_takes_any_iterable_and_tells_its_progress(colour, f) -> None:
    """Calls may come from a generator; `progress` hears done and total, in order."""
    heard = []
    calls = ((a,) for a in range(5))
    done = colour.run(f.prewarm(calls, workers=2, progress=lambda *step: heard.append(step)))
    assert done == (5, 0, 0)
    assert heard == [(n, None) for n in range(1, 6)]
    heard.clear()
    colour.run(f.prewarm([(1,), (2,)], progress=lambda *step: heard.append(step)))
    assert heard == [(1, 2), (2, 2)]


def test_prewarm_goes_on_past_failures(colour) -> None:
    """A call that raises is counted, and the others are made."""
    g = colour.cached(lambda a: 1 / a)
    assert colour.run(g.prewarm([(1,), (0,), (2,)])) == (2, 0, 1)
    assert colour.run(g.get(2)) == 0.5


def test_prewarm_of_nothing(colour, f) -> None:
    """No calls, nothing done."""
    assert colour.run(f.prewarm([])) == (0, 0, 0)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "4"])
def test_prewarm_checks_its_workers(colour, f, workers) -> None:
    """`workers` must be a whole number of at least one."""
    with pytest.raises((TypeError, ValueError), match="workers="):
        colour.run(f.prewarm([(1,)], workers=workers))


@pytest.mark.parametrize("call", [1, "ab", [1], None])
def test_prewarm_takes_tuples(colour, f, call) -> None:
    """A call that is no tuple is a TypeError that says so, not a wrong call."""
    with pytest.raises(TypeError, match="tuples"):
        colour.run(f.prewarm([call]))
    assert f.runs == []


def test_handles_of_async_functions_work_on_any_loop() -> None:
    """Consecutive `asyncio.run` of one function share what is cached."""

    @cached
    async def g(a):
        return [a]

    first = asyncio.run(g(1))
    assert asyncio.run(g(1)) is first
    assert asyncio.run(g.get(1)) is first
    assert asyncio.run(g.invalidate(1)) is True
    assert asyncio.run(g.refresh(1)) is not first
    asyncio.run(g.cache_clear())
    assert asyncio.run(g.lookup(1)).status == "miss"


def test_a_fresh_policy_decides_per_operation(colour, failing_mapping) -> None:
    """With `failed={"read": CALL, "write": RAISE}` a failed write is raised, with the value."""
    store = failing_mapping(failing=False)
    policy = Policy(failed={"read": CALL, "write": RAISE})
    g = colour.cached(backend=store, policy=policy)(lambda: 5)
    store.failing = True
    assert colour.run(g()) == 5  # the read failed, so there is no write
    with pytest.raises(OperationFailed) as caught:
        colour.run(g.refresh())
    assert (caught.value.operation, caught.value.value) == ("write", 5)
