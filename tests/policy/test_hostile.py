"""Code of the user's that raises where it should not costs the cache, and never the value."""

from __future__ import annotations

import pytest
from policy.scripted import COLOURS, colours

from memo import CALL, OperationFailed, Policy
from memo.testing import FakeTimer


class Boom(Exception):
    """What hostile code raises."""


def fails(*args, **kwargs):
    """A hook that raises."""
    raise Boom(args)


def fails_hard(*args, **kwargs):
    """A hook that exhausts the stack by itself."""
    return fails_hard(*args, **kwargs)


def stops(*args, **kwargs):
    """A hook that raises what generators mistake for their end."""
    raise StopIteration(args)


FAULTS = {"raises": fails, "recurses": fails_hard, "stops": stops}
#: What cannot await is tested for plain functions.
plain = pytest.mark.parametrize("colour", COLOURS[:1], ids=repr)
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)

#: Options in which a hook may fail, and whether each call then fails anew.
HOOKS = {
    "should_cache": lambda hook: {"should_cache": hook},
    "ttl": lambda hook: {"ttl": hook},
    "getsizeof": lambda hook: {"getsizeof": hook},
    "copy": lambda hook: {"copy": hook},
    "key": lambda hook: {"key": hook},
    "timer": lambda hook: {"timer": hook, "ttl": 10},
    "miss": lambda hook: {"policy": Policy(miss=hook)},
}


@colours
@faults
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_fails_costs_no_value(colour, hook, fault):
    """The function's own value is returned, the failure counted, and every call is counted once."""
    made = []

    def body(key):
        made.append([key])
        return made[-1]

    load = colour.cached(body, **HOOKS[hook](fault))
    for number in range(3):
        assert colour.run(load("k")) == ["k"], number
    info = load.cache_info()
    assert info.failures >= (1 if hook == "miss" else 3)  # a miss is stored by the default action
    assert info.hits + info.misses == 3
    assert not load._self_site.core.flights


@colours
@pytest.mark.parametrize("hook", HOOKS)
def test_a_cache_is_usable_once_its_hook_is(colour, hook):
    """After failures, the first call with a hook that works is stored and hit."""
    broken = True
    works = {
        "should_cache": lambda *args: True,
        "ttl": lambda value: 60,
        "getsizeof": len,
        "copy": list,
        "key": lambda key: key,
        "timer": lambda: 5.0,
        "miss": lambda error: CALL,
    }[hook]

    def sometimes(*args):
        if broken:
            raise Boom
        return works(*args)

    load = colour.cached(lambda key: [key], **HOOKS[hook](sometimes))
    for _ in range(3):
        assert colour.run(load("k")) == ["k"]
    broken = False
    assert colour.run(load("k")) == ["k"]
    before = load.cache_info()
    assert colour.run(load("k")) == ["k"]
    after = load.cache_info()
    assert after.hits == before.hits + 1
    assert after.failures == before.failures


@colours
@faults
@pytest.mark.parametrize("field", ["expired", "failed", "full"])
def test_a_policys_callable_that_fails_costs_no_value(colour, field, fault):
    """The default action takes its place; both failures are counted."""
    timer = FakeTimer()
    backend = colour.backend()
    heard = []
    options = {"ttl": 10, "timer": timer}
    options |= {"maxsize": 1, "eviction": "none"} if field == "full" else {"backend": backend}
    policy = Policy(**{field: fault}, on_error=heard.append)
    load = colour.cached(lambda key: [key], policy=policy, **options)
    assert colour.run(load("k")) == ["k"]
    if field == "expired":
        timer.advance(10)
    elif field == "failed":
        backend.fails = {"read"}
    key = "k" if field != "full" else "other"
    assert colour.run(load(key)) == [key]
    assert len(heard) == (1 if field == "expired" else 2)
    assert load.cache_info().failures == len(heard)
    backend.fails = set()
    colour.run(load("k"))
    assert colour.run(load("k")) == ["k"]
    assert load.cache_info().hits >= 1


@colours
@faults
@pytest.mark.parametrize("operation", ["key", "read", "write", "delete", "clear"])
def test_a_handler_that_fails_costs_no_value(colour, operation, fault):
    """A failing `on_error` is counted beside the failure it was told of."""
    backend = colour.backend()

    class Unhashable(list):
        pass

    load = colour.cached(
        lambda key: "value", ttl=10, backend=backend, policy=Policy(on_error=fault)
    )
    colour.run(load("k"))
    if operation != "key":
        backend.fails = {operation}
    if operation == "delete":
        assert colour.run(load.invalidate("k")) is False
    elif operation == "clear":
        colour.run(load.cache_clear())
    else:
        assert colour.run(load(Unhashable() if operation == "key" else "other")) == "value"
    if operation != "clear":  # which sets the counters to zero
        assert load.cache_info().failures == 2
    backend.fails = set()
    colour.run(load("k"))
    hits = load.cache_info().hits
    assert colour.run(load("k")) == "value"
    assert load.cache_info().hits == hits + 1


@plain
def test_a_handler_may_use_the_cache_it_hears_of(colour):
    """`on_error` that calls, reads and drops on the same cache does no harm."""
    backend = colour.backend()

    def hears(error):
        if len(depth) < 3:
            depth.append(error)
            load("k")
            load.invalidate("k")

    depth = []
    load = colour.cached(str, ttl=10, backend=backend, policy=Policy(on_error=hears))
    backend.fails = {"read", "delete"}
    assert load("k") == "k"
    backend.fails = set()
    assert load("k") == "k"
    assert not load._self_site.core.flights


@plain
def test_an_interrupt_out_of_a_hook_is_the_callers(colour):
    """`KeyboardInterrupt` is nobody's to absorb; no load is left under way."""

    def interrupts(*args):
        raise KeyboardInterrupt

    for option in ("should_cache", "getsizeof", "copy"):
        load = colour.cached(str, **{option: interrupts})
        with pytest.raises(KeyboardInterrupt):
            load(1)
        assert not load._self_site.core.flights


# Arguments.


class Hostile:
    """An argument whose methods raise, when it is told to."""

    def __init__(self, number=0, **raises):
        self.number = number
        self.raises = raises

    def _maybe(self, name):
        if self.raises.get(name):
            raise Boom(name)

    def __hash__(self):
        self._maybe("hash")
        return 7

    def __eq__(self, other):
        self._maybe("eq")
        return isinstance(other, Hostile) and other.number == self.number

    def __repr__(self):
        self._maybe("repr")
        return f"Hostile({self.number})"

    def __reduce__(self):
        self._maybe("reduce")
        return Hostile, (self.number,)

    def __bool__(self):
        self._maybe("bool")
        return True

    def __len__(self):
        self._maybe("len")
        return 1


@colours
@pytest.mark.parametrize("method", ["hash", "eq", "repr", "reduce", "bool", "len"])
@pytest.mark.parametrize("place", ["argument", "keyword", "value", "both"])
def test_hostile_arguments_and_values(colour, method, place):
    """Whatever of theirs raises: the function's value comes back, and the cache goes on."""

    def body(key=None, **more):
        return Hostile(1, **{method: True}) if place in {"value", "both"} else "value"

    load = colour.cached(body, ttl=10, maxsize=4)

    def arguments(number):
        hostile = Hostile(number, **{method: True})
        if place == "value":
            return (number,), {}
        return ((), {"key": hostile}) if place == "keyword" else ((hostile,), {})

    for number in (0, 1, 0, 2, 3, 4, 5, 0):
        args, kwargs = arguments(number)
        answer = colour.run(load(*args, **kwargs))
        assert answer == "value" if place in {"argument", "keyword"} else type(answer) is Hostile
    info = load.cache_info()
    assert info.hits + info.misses == 8
    assert not load._self_site.core.flights
    assert colour.run(load("plain")) is not None
    hits = load.cache_info().hits
    assert colour.run(load("plain")) is not None
    assert load.cache_info().hits == hits + 1


@colours
def test_an_argument_that_turns_hostile_later(colour):
    """A key that was fine when it was stored and raises when it is looked up again."""
    keys = [Hostile(number) for number in range(4)]
    load = colour.cached(lambda key: key.number, ttl=10, maxsize=3)
    for key in keys:
        assert colour.run(load(key)) == key.number
    for name in ("eq", "hash"):
        for key in keys:
            key.raises = {name: True}
        for key in keys:
            assert colour.run(load(key)) == key.number
        for number in range(6):
            assert colour.run(load(Hostile(number))) == number
        for key in keys:
            key.raises = {}
        assert colour.run(load(keys[0])) == 0
        before = load.cache_info().hits
        assert colour.run(load(keys[0])) == 0
        assert load.cache_info().hits == before + 1
    assert load.cache_info().currsize <= 3
    assert not load._self_site.core.flights


@plain
def test_an_argument_whose_comparison_calls_the_cached_function(colour):
    """`__eq__` that calls the function again, with the same key, ends."""
    depth = []

    class Reentrant(Hostile):
        def __eq__(self, other):
            if len(depth) < 5:
                depth.append(1)
                load(self)
            return self is other

        __hash__ = Hostile.__hash__

    load = colour.cached(lambda key: key.number, ttl=10, maxsize=2)
    keys = [Reentrant(number) for number in range(4)]
    for key in keys * 2:
        assert load(key) == key.number
    assert not load._self_site.core.flights
    assert load.cache_info().currsize <= 2


@colours
def test_a_hash_that_changes(colour):
    """A key that hashes differently each time is never found, and costs no more than that."""

    class Fickle:
        def __hash__(self):
            counter.append(1)
            return len(counter)

    counter = []
    load = colour.cached(lambda key: "value", maxsize=3)
    key = Fickle()
    for _ in range(20):
        assert colour.run(load(key)) == "value"
    assert colour.run(load("plain")) == "value"
    assert colour.run(load("plain")) == "value"
    assert load.cache_info().currsize <= 3
    assert not load._self_site.core.flights


@colours
def test_copy_that_fails_never_hands_out_what_others_share(colour):
    """With a failing `copy`, no two callers hold the same object as the store."""
    broken = True

    def careful(value):
        if broken:
            raise Boom
        return list(value)

    load = colour.cached(lambda key: [key], ttl=10, copy=careful)
    first = colour.run(load("k"))
    second = colour.run(load("k"))
    assert first is not second
    first.append("changed")
    broken = False
    assert colour.run(load("k")) == ["k"]
    third = colour.run(load("k"))
    third.append("changed")
    assert colour.run(load("k")) == ["k"]


@colours
def test_a_backend_that_gives_garbage(colour):
    """What is no entry is a failed read, and never an answer."""
    for garbage in ("text", 3, ("value", 0), object(), ["value", 0.0, 9e9, 9e9, ()]):
        backend = colour.backend()
        heard = []
        load = colour.cached(str, ttl=10, backend=backend, policy=Policy(on_error=heard.append))
        colour.run(load(1))
        for key in backend.held:
            backend.held[key] = garbage
        assert colour.run(load(1)) == "1"
        assert [error.operation for error in heard] == ["read"]
        assert load.cache_info().failures == 1


@colours
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, AssertionError])
def test_a_backend_that_raises_what_generators_mistake(colour, error):
    """`StopIteration` out of a backend is a failure like any other."""
    backend = colour.backend()
    backend.error = error
    load = colour.cached(str, ttl=10, backend=backend)
    for fails in ({"read"}, {"write"}, {"delete"}):
        backend.fails = fails
        assert colour.run(load(1)) == "1"
        colour.run(load.invalidate(1))
    assert load.cache_info().failures >= 3


@colours
def test_an_error_whose_text_cannot_be_had(colour):
    """A foreign error that raises in `__str__` and `__repr__` is absorbed too."""

    class Mute(Exception):
        def __str__(self):
            raise Boom

        __repr__ = __str__

    backend = colour.backend()
    backend.error = Mute
    load = colour.cached(str, ttl=10, backend=backend)
    for fails in ({"read"}, {"write"}):
        backend.fails = fails
        assert colour.run(load(1)) == "1"
    backend.fails = {"delete"}
    assert colour.run(load.invalidate(1)) is False
    strict = colour.cached(str, ttl=10, backend=backend, policy=Policy.strict())
    backend.fails = {"read"}
    with pytest.raises(OperationFailed) as caught:
        colour.run(strict(1))
    assert type(caught.value.__cause__) is Mute
