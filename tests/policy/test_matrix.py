"""Every error under every action, through the decorator, in both colours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy.scripted import Down, Scripted, colours

from memo import (
    CALL,
    EVICT,
    RAISE,
    SKIP,
    STALE,
    Expired,
    Full,
    Miss,
    OperationFailed,
    Policy,
    fallback,
    raise_as,
)
from memo.testing import FakeTimer


class Ours(Exception):
    """What the program would rather see than a cache error."""


def refused(error):
    """A callable of a policy's."""
    return RAISE


#: Actions that raise, as the exception each raises in the place of a cache error of `kind`.
RAISING = {
    "RAISE": (RAISE, lambda kind: kind),
    "raise_as": (raise_as(Ours), lambda kind: Ours),
    "callable": (refused, lambda kind: kind),
    "callable raise_as": (lambda error: raise_as(Ours), lambda kind: Ours),
}
raising = pytest.mark.parametrize("how", RAISING)


def counted(info):
    """The counters that matter here."""
    return info.hits, info.misses, info.failures


def the_cache_error(error):
    """`error`, or what it was raised from."""
    return error.__cause__ if isinstance(error, Ours) else error


# Miss and Expired.


@colours
@raising
def test_a_miss_raised(colour, how):
    """`miss=...`: the error names the key, and the function is never called."""
    action, kind = RAISING[how]
    executions = []
    load = colour.cached(executions.append, ttl=10, policy=Policy(miss=action))
    with pytest.raises(kind(Miss)) as caught:
        colour.run(load("k"))
    error = the_cache_error(caught.value)
    assert isinstance(error, Miss)
    assert error.key == load.cache_key("k")
    assert executions == []
    assert counted(load.cache_info()) == (0, 1, 0)
    assert colour.run(load.set("value", "k")) is True
    assert colour.run(load("k")) == "value"


@colours
@pytest.mark.parametrize("action", [CALL, lambda error: CALL], ids=["CALL", "callable"])
def test_a_miss_absorbed(colour, action):
    """`CALL`: the function is called, and its value stored."""
    load = colour.cached(lambda key: [key], ttl=10, policy=Policy(miss=action))
    first = colour.run(load("k"))
    assert first == ["k"]
    assert colour.run(load("k")) is first
    assert counted(load.cache_info()) == (1, 1, 0)


@colours
@raising
def test_an_expired_entry_raised(colour, how):
    """`expired=...`: the error has the value and its age; nothing is called or refreshed."""
    action, kind = RAISING[how]
    timer = FakeTimer()
    executions = []

    def body(key):
        executions.append(key)
        return "value"

    load = colour.cached(body, ttl=10, policy=Policy(expired=action), timer=timer)
    colour.run(load("k"))
    timer.advance(12)
    for _ in range(2):
        with pytest.raises(kind(Expired)) as caught:
            colour.run(load("k"))
        error = the_cache_error(caught.value)
        assert (error.key, error.value, error.age) == (load.cache_key("k"), "value", 12.0)
    assert executions == ["k"]
    assert load.cache_info().expirations == 2


@colours
@pytest.mark.parametrize("action", [CALL, lambda error: CALL], ids=["CALL", "callable"])
def test_an_expired_entry_absorbed(colour, action):
    """`CALL`: recompute and replace."""
    timer = FakeTimer()
    values = iter(["old", "new"])
    policy = Policy(expired=action)
    load = colour.cached(lambda key: next(values), ttl=10, policy=policy, timer=timer)
    assert colour.run(load("k")) == "old"
    timer.advance(10)
    assert colour.run(load("k")) == "new"
    assert colour.run(load("k")) == "new"


@colours
def test_stale_serves_what_has_expired_for_ever(colour):
    """`expired=STALE`: there is no end to it; with nothing held it is `CALL`."""
    timer = FakeTimer()

    def body(key):
        if timer():
            raise ValueError("upstream")
        return "value"

    load = colour.cached(body, ttl=10, policy=Policy(expired=STALE), timer=timer)
    assert colour.run(load("k")) == "value"
    timer.advance("52w")
    assert colour.run(load("k")) == "value"
    with pytest.raises(ValueError, match="upstream"):
        colour.run(load("other"))


# Failed reads.


@colours
@raising
@pytest.mark.parametrize("by_operation", [False, True])
def test_a_failed_read_raised(colour, how, by_operation):
    """`failed=...`, for all operations or for reads: the foreign error is the cause."""
    action, kind = RAISING[how]
    backend = colour.backend()
    heard, executions = [], []
    policy = Policy(failed={"read": action} if by_operation else action, on_error=heard.append)
    load = colour.cached(executions.append, ttl=10, backend=backend, policy=policy)
    backend.fails = {"read"}
    with pytest.raises(kind(OperationFailed)) as caught:
        colour.run(load("k"))
    error = the_cache_error(caught.value)
    assert (error.operation, error.backend) == ("read", "scripted")
    assert error.key == load.cache_key("k")
    assert isinstance(error.__cause__, Down)
    assert executions == []
    assert heard == [error]
    assert counted(load.cache_info()) == (0, 1, 1)
    assert backend.seen["write"] == 0


@colours
@pytest.mark.parametrize(
    "action",
    [CALL, STALE, lambda error: CALL, {"write": RAISE}, {}, {"read": CALL}],
    ids=["CALL", "STALE", "callable", "write only", "empty", "read"],
)
def test_a_failed_read_absorbed(colour, action):
    """The function is called each time, its value handed out as it is, and nothing written."""
    backend = colour.backend()
    heard, made = [], []

    def body(key):
        made.append(object())
        return made[-1]

    policy = Policy(failed=action, on_error=heard.append)
    load = colour.cached(body, ttl=10, backend=backend, policy=policy)
    backend.fails = {"read"}
    for _ in range(3):
        assert colour.run(load("k")) is made[-1]
    assert len(made) == 3
    assert backend.seen["write"] == 0
    assert [error.operation for error in heard] == ["read"] * 3
    assert counted(load.cache_info()) == (0, 3, 3)
    backend.fails = set()
    assert colour.run(load("k")) is made[3]
    assert colour.run(load("k")) is made[3]


@colours
def test_stale_serves_what_was_last_seen_of_a_failing_backend(colour):
    """`failed=STALE`: read or written before the failure, fresh or expired."""
    timer = FakeTimer()
    backend = colour.backend()
    executions = []

    def body(key):
        executions.append(key)
        return f"{key}{len(executions)}"

    load = colour.cached(body, ttl=10, backend=backend, policy=Policy(failed=STALE), timer=timer)
    assert colour.run(load("written")) == "written1"
    backend.fails = {"read", "write"}
    assert colour.run(load("written")) == "written1"
    timer.advance(60)
    assert colour.run(load("written")) == "written1"
    info = load.cache_info()
    assert (info.hits, info.stale_hits, info.failures) == (2, 1, 2)
    assert colour.run(load("never seen")) == "never seen2"
    assert colour.run(load.invalidate("written")) is True
    assert colour.run(load("written")) == "written3"


# Failed writes.


@colours
@raising
@pytest.mark.parametrize("by_operation", [False, True])
def test_a_failed_write_raised(colour, how, by_operation):
    """It is raised after the function ran, with the result as `.value`, and nothing is held."""
    action, kind = RAISING[how]
    backend = colour.backend()
    heard, executions = [], []

    def body(key):
        executions.append(key)
        return ["result"]

    policy = Policy(failed={"write": action} if by_operation else action, on_error=heard.append)
    load = colour.cached(body, ttl=10, backend=backend, policy=policy)
    backend.fails = {"write"}
    with pytest.raises(kind(OperationFailed)) as caught:
        colour.run(load("k"))
    error = the_cache_error(caught.value)
    assert (error.operation, error.backend, error.value) == ("write", "scripted", ["result"])
    assert error.key == load.cache_key("k")
    assert isinstance(error.__cause__, Down)
    assert heard == [error]
    assert executions == ["k"]
    assert counted(load.cache_info()) == (0, 1, 1)
    assert backend.held == {}


@colours
@pytest.mark.parametrize(
    "action",
    [CALL, STALE, lambda error: CALL, {"read": RAISE}],
    ids=["CALL", "STALE", "callable", "read only"],
)
def test_a_failed_write_absorbed(colour, action):
    """The caller gets the very value; the next call loads again, unless what is owed answers it."""
    backend = colour.backend()
    made, heard = [], []

    def body(key):
        made.append(object())
        return made[-1]

    policy = Policy(failed=action, on_error=heard.append)
    load = colour.cached(body, ttl=10, backend=backend, policy=policy)
    backend.fails = {"write"}
    assert colour.run(load("k")) is made[0]
    if colour.owes:
        assert colour.run(load("k")) is made[0]
        assert [error.operation for error in heard] == ["write"]
        assert counted(load.cache_info()) == (1, 1, 1)
    else:
        assert colour.run(load("k")) is made[1]
        assert [error.operation for error in heard] == ["write"] * 2
        assert counted(load.cache_info()) == (0, 2, 2)


# Failed drops.


@colours
@raising
@pytest.mark.parametrize("operation", ["delete", "clear"])
def test_a_failed_drop_raised(colour, how, operation):
    """`invalidate` and `cache_clear` raise where the policy says so."""
    action, kind = RAISING[how]
    backend = colour.backend()
    load = colour.cached(str, ttl=10, backend=backend, policy=Policy(failed={operation: action}))
    colour.run(load(1))
    backend.fails = {operation}
    with pytest.raises(kind(OperationFailed)) as caught:
        colour.run(load.invalidate(1) if operation == "delete" else load.cache_clear())
    error = the_cache_error(caught.value)
    assert error.operation == operation
    assert isinstance(error.__cause__, Down)
    assert colour.run(load(1)) == "1"


@colours
@pytest.mark.parametrize("action", [CALL, STALE, lambda error: CALL, {"read": RAISE}], ids=repr)
def test_a_failed_drop_absorbed(colour, action):
    """`invalidate` answers False, `cache_clear` says nothing; both are heard."""
    backend = colour.backend()
    heard = []
    policy = Policy(failed=action, on_error=heard.append)
    load = colour.cached(str, ttl=10, backend=backend, policy=policy)
    colour.run(load(1))
    backend.fails = {"delete", "clear"}
    assert colour.run(load.invalidate(1)) is False
    assert colour.run(load.cache_clear()) is None
    assert [error.operation for error in heard] == ["delete", "clear"]


# Keys.


@colours
@raising
def test_arguments_that_cannot_be_a_key_raised(colour, how):
    """`OperationFailed("key ...")`, before the function is called; the cause is the hash's."""
    action, kind = RAISING[how]
    executions = []
    load = colour.cached(executions.append, ttl=10, policy=Policy(failed={"key": action}))

    class Unhashable(list):
        pass

    with pytest.raises(kind(OperationFailed)) as caught:
        colour.run(load(Unhashable()))
    error = the_cache_error(caught.value)
    assert (error.operation, error.reason[:3]) == ("key", "key")
    assert isinstance(error.__cause__, TypeError)
    assert executions == []
    assert counted(load.cache_info()) == (0, 1, 1)


@colours
@pytest.mark.parametrize(
    "action",
    [CALL, STALE, {"read": RAISE}, fallback(Scripted())],
    ids=["CALL", "STALE", "read", "fallback"],
)
def test_arguments_that_cannot_be_a_key_absorbed(colour, action):
    """The function is called; nothing is stored; it is counted and heard."""
    if isinstance(action, type(fallback(0))):
        action = fallback(colour.backend())
    heard = []

    class Unhashable(list):
        pass

    policy = Policy(failed=action, on_error=heard.append)
    load = colour.cached(len, ttl=10, policy=policy)
    assert colour.run(load(Unhashable([1, 2]))) == 2
    assert colour.run(load.set(7, Unhashable())) is False
    assert colour.run(load.invalidate(Unhashable())) is False
    assert colour.run(load.lookup(Unhashable())).status == "failed"
    with pytest.raises(OperationFailed):
        colour.run(load.get(Unhashable()))
    assert [error.operation for error in heard] == ["key"] * 4
    assert counted(load.cache_info()) == (0, 2, 4)
    assert load.cache_info().currsize == 0


# Full, made real.


def full_store(colour, body=str, **options):
    """A function whose store of two is full, and nothing has expired."""
    load = colour.cached(body, ttl=10, maxsize=2, eviction="none", **options)
    for number in (1, 2):
        colour.run(load(number))
    return load


@colours
@raising
def test_a_full_store_raised(colour, how):
    """`Full` is raised after the function ran, and carries its result."""
    action, kind = RAISING[how]
    heard = []
    load = full_store(colour, policy=Policy(full=action, on_error=heard.append))
    with pytest.raises(kind(Full)) as caught:
        colour.run(load(3))
    error = the_cache_error(caught.value)
    assert (error.value, error.too_large) == ("3", False)
    assert error.key == load.cache_key(3)
    assert heard == [error]
    info = load.cache_info()
    assert (info.hits, info.misses, info.failures, info.currsize) == (0, 3, 1, 2)
    assert colour.run(load(1)) == "1"


@colours
@pytest.mark.parametrize("action", [EVICT, SKIP, lambda error: SKIP, lambda error: EVICT], ids=repr)
def test_a_full_store_absorbed(colour, action):
    """With nothing expired there is nothing that "none" evicts: the value is not stored."""
    heard = []
    timer = FakeTimer()
    load = full_store(colour, policy=Policy(full=action, on_error=heard.append), timer=timer)
    assert colour.run(load(3)) == "3"
    assert [type(error) for error in heard] == [Full]
    info = load.cache_info()
    assert (info.failures, info.currsize, info.evictions) == (1, 2, 0)
    timer.advance(11)
    assert colour.run(load(3)) == "3"  # now there is room
    assert colour.run(load(3)) == "3"
    assert load.cache_info().hits == 1
    assert len(heard) == 1


@colours
@pytest.mark.parametrize("eviction", ["adaptive", "lru", "none"])
def test_a_value_larger_than_the_store(colour, eviction):
    """Under `getsizeof` it is `Full`, whatever the ordering, and evicts nothing else."""
    heard = []
    options = {"maxsize": 10, "getsizeof": len, "eviction": eviction}
    policy = Policy(on_error=heard.append)
    load = colour.cached(lambda key: "x" * key, policy=policy, **options)
    colour.run(load(4))
    assert len(colour.run(load(11))) == 11
    assert [error.too_large for error in heard] == [True]
    assert load.cache_info().currsize == 4
    assert load.cache_info().failures == 1

    strict = colour.cached(lambda key: "x" * key, policy=Policy.strict(), **options)
    with pytest.raises(Full, match="larger than the whole store") as caught:
        colour.run(strict(11))
    assert caught.value.value == "x" * 11
    assert colour.run(strict.set("y" * 10, 0)) is True
    with pytest.raises(Full):
        colour.run(strict.set("y" * 11, 0))


@colours
def test_a_backend_that_evicts_when_asked(colour):
    """`EVICT` asks the backend, writes once more, and counts what was dropped."""
    inner = colour.backend

    class Bounded(inner):
        def evict(self, n):
            for key in list(self.held)[:n]:
                del self.held[key]
            return n

    if colour.name == "async":

        class Bounded(inner):
            async def evict(self, n):
                for key in list(self.held)[:n]:
                    del self.held[key]
                return n

    backend = Bounded()

    plain = backend._enter

    def enter(operation):
        plain(operation)
        if operation == "write" and len(backend.held) >= 2:
            raise Full("k")

    backend._enter = enter
    load = colour.cached(str, ttl=10, backend=backend)
    for number in range(5):
        assert colour.run(load(number)) == str(number)
    assert backend.values() == ["3", "4"]
    info = load.cache_info()
    assert (info.evictions, info.failures) == (3, 0)
    skipping = colour.cached(str, ttl=10, backend=backend, policy=Policy(full=SKIP))
    assert colour.run(skipping(9)) == "9"
    assert backend.values() == ["3", "4"]


# The handle under each.


@colours
def test_get_under_each_policy(colour):
    """`get` never calls; it raises what is the matter, or what `raise_as` makes of it."""
    timer = FakeTimer()
    backend = colour.backend()

    def body(key):
        raise AssertionError("called")

    def made(**policy):
        return colour.cached(body, ttl=10, backend=backend, policy=Policy(**policy), timer=timer)

    absorbing = made()
    with pytest.raises(Miss):
        colour.run(absorbing.get("k"))
    colour.run(absorbing.set("value", "k"))
    assert colour.run(absorbing.get("k")) == "value"
    timer.advance(10)
    with pytest.raises(Expired):
        colour.run(absorbing.get("k"))
    backend.fails = {"read"}
    with pytest.raises(OperationFailed):
        colour.run(absorbing.get("k"))
    info = absorbing.cache_info()
    assert (info.hits, info.misses, info.expirations, info.failures) == (1, 3, 1, 1)

    backend.fails = set()
    stale = made(expired=STALE, failed=STALE)
    colour.run(stale.set("value", "k"))
    timer.advance(60)
    assert colour.run(stale.get("k")) == "value"
    backend.fails = {"read"}
    assert colour.run(stale.get("k")) == "value"

    backend.fails = set()
    ours = made(miss=raise_as(Ours), expired=raise_as(Ours), failed=raise_as(Ours))
    with pytest.raises(Ours, match="no entry"):
        colour.run(ours.get("k"))
    backend.fails = {"read"}
    with pytest.raises(Ours, match="read failed"):
        colour.run(ours.get("k"))


@colours
def test_lookup_under_each_policy(colour):
    """`lookup` raises and counts nothing, whatever the policy."""
    timer = FakeTimer()
    backend = colour.backend()
    for named in (Policy(), Policy.strict(), Policy.cache_only(), Policy(miss=raise_as(Ours))):
        heard = []
        policy = replace(named, on_error=heard.append)
        load = colour.cached(str, ttl=10, backend=backend, policy=policy, timer=timer)
        assert colour.run(load.lookup("k")).status == "miss"
        colour.run(load.set("value", "k"))
        assert colour.run(load.lookup("k")).value == "value"
        timer.advance(10)
        outcome = colour.run(load.lookup("k"))
        assert (outcome.status, outcome.value) == ("expired", "value")
        backend.fails = {"read"}
        outcome = colour.run(load.lookup("k"))
        assert outcome.status == "failed"
        assert isinstance(outcome.error.__cause__, Down)
        backend.fails = set()
        assert counted(load.cache_info()) == (0, 0, 0)
        assert heard == []


@colours
def test_set_and_refresh_under_each_policy(colour):
    """Absorbed: False, and the value all the same; strict: raised, with the value."""
    backend = colour.backend()
    absorbing = colour.cached(str, ttl=10, backend=backend)
    strict = colour.cached(str, ttl=10, backend=backend, policy=Policy.strict())
    backend.fails = {"write"}
    assert colour.run(absorbing.set("value", 1)) is False
    assert colour.run(absorbing.refresh(1)) == "1"
    with pytest.raises(OperationFailed) as caught:
        colour.run(strict.set("value", 1))
    assert caught.value.value == "value"
    with pytest.raises(OperationFailed) as caught:
        colour.run(strict.refresh(1))
    assert caught.value.value == "1"
    backend.fails = set()
    assert colour.run(strict.set("value", 1)) is True
    assert colour.run(strict(1)) == "value"
    assert colour.run(strict.refresh(1)) == "1"
    assert colour.run(strict(1)) == "1"


@colours
@pytest.mark.parametrize("value", [None, False, 0, "", (), [], {}, NotImplemented, ...], ids=repr)
def test_no_fault_changes_a_value_or_its_type(colour, value):
    """Under `absorb`, with each operation failing in turn, each value comes back as itself."""
    backend = colour.backend()
    load = colour.cached(lambda key: value, ttl=10, backend=backend)
    for fails in (set(), {"read"}, {"write"}, {"read", "write"}, {"delete"}, {"clear"}, set()):
        backend.fails = fails
        for _ in range(2):
            assert colour.run(load("k")) is value
        colour.run(load.invalidate("k"))
        assert colour.run(load("k")) is value
    assert colour.run(load("k")) is value


@colours
def test_the_functions_own_exceptions_are_never_ours(colour):
    """A `CacheError` raised by the function itself is the function's, under every policy."""
    for error in (Miss("mine"), Full("mine"), OperationFailed("mine"), Expired("mine")):

        def body(key, error=error):
            raise error

        for policy in (
            Policy(),
            Policy.strict(),
            Policy.cache_only(miss=CALL),
            Policy(failed=STALE),
        ):
            load = colour.cached(body, ttl=10, policy=policy)
            with pytest.raises(type(error)) as caught:
                colour.run(load("k"))
            assert caught.value is error
            assert load.cache_info().failures == 0
