"""What goes wrong in the store: whatever it is, the policy decides id by id."""

from typing import Any

import pytest

from memo import (
    CALL,
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
from memo.backends import Memory


@pytest.fixture
def backend(colour: Any) -> Any:
    """A store that fails to order."""
    return colour.faulty()


def test_reads_that_fail_are_loads(colour: Any, source: Any, backend: Any) -> None:
    """Under `absorb` the caller gets all values; the write of that call is skipped."""
    f = colour.many(backend=backend)(source)
    colour.run(f([1]))
    with backend.fail("read"):
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert source.asked == [[1], [1, 2]]
    assert f.cache_info().failures >= 1
    assert colour.run(f.lookup(2)).status == "miss"
    assert colour.run(f([1])) == {1: "v1"}
    assert len(source.asked) == 2


def test_writes_that_fail_cost_the_caller_nothing(colour: Any, source: Any, backend: Any) -> None:
    """The values are answered all the same."""
    f = colour.many(backend=backend)(source)
    with backend.fail("write"):
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    info = f.cache_info()
    assert (info.misses, info.failures) == (2, 2)
    assert source.asked == [[1, 2]]
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}


def test_an_outage_is_survived(colour: Any, source: Any, backend: Any) -> None:
    """With everything failing, calls and the handle work on as if there were no cache."""
    f = colour.many(backend=backend, policy=Policy(breaker=None, timeout=30))(source)
    backend.fail()
    for _ in range(20):
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
        assert colour.run(f.one(3)) == "v3"
    assert not colour.run(f.invalidate(1))
    assert colour.run(f.lookup(3)).status == "failed"
    backend.heal()


def test_strict_raises_what_failed(colour: Any, source: Any, backend: Any) -> None:
    """Under `strict` a failing read is an `OperationFailed`, and nothing is called."""
    f = colour.many(backend=backend, policy=Policy.strict(timeout=30))(source)
    with backend.fail("read"), pytest.raises(OperationFailed) as caught:
        colour.run(f([1, 2]))
    assert caught.value.operation == "read"
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert source.asked == []


def test_a_strict_write_raises_after_the_load(colour: Any, source: Any, backend: Any) -> None:
    """The error has the value that could not be written."""
    f = colour.many(backend=backend, policy=Policy.strict(timeout=30))(source)
    with backend.fail("write"), pytest.raises(OperationFailed) as caught:
        colour.run(f([1, 2]))
    assert caught.value.operation == "write"
    assert caught.value.value == "v1"
    assert source.asked == [[1, 2]]


def test_corrupt_entries_are_loaded_again(colour: Any, source: Any, backend: Any) -> None:
    """What a store gives that is no entry reaches nobody."""
    f = colour.many(backend=backend)(source)
    colour.run(f([1, 2, 3]))
    with backend.inject("corrupt", "read", first=1, last=2):
        assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}
    assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}


@pytest.mark.parametrize("seed", range(8))
def test_chance_faults_change_no_answer(colour: Any, source: Any, seed: int) -> None:
    """With a third of all operations failing, every answer is right and nothing is raised."""
    backend = colour.faulty(seed=seed, raises=0.3, loses=0.2, corrupts=0.2)
    f = colour.many(backend=backend)(source)
    asked = 0
    for n in range(40):
        ids = {n % 5, n % 7, n % 3 + 10}
        assert colour.run(f(ids)) == {one: f"v{one}" for one in ids}
        asked += len(ids)
    info = f.cache_info()
    assert info.hits + info.misses == asked
    assert info.failures


def test_misses_may_be_refused(colour: Any, source: Any) -> None:
    """`cache_only` raises `Miss` for an id that is not cached, and calls nothing."""
    f = colour.many(policy=Policy.cache_only())(source)
    colour.run(f.set("v1", 1))
    assert colour.run(f([1])) == {1: "v1"}
    with pytest.raises(Miss) as caught:
        colour.run(f([1, 2]))
    assert caught.value.key == f.cache_key(2)
    assert source.asked == []


def test_expiry_may_be_refused(colour: Any, source: Any, timer: Any) -> None:
    """`expired=RAISE` raises `Expired` for the first id that is, with its value."""
    f = colour.many(ttl=10, policy=Policy(expired=RAISE), timer=timer)(source)
    colour.run(f([1, 2]))
    timer.advance(10)
    with pytest.raises(Expired) as caught:
        colour.run(f([3, 2, 1]))
    assert caught.value.value == "v2"


def test_a_refusal_of_one_id_lets_the_others_be_stored(colour: Any, source: Any) -> None:
    """What was loaded in a call that raises is not thrown away."""

    def action(error: Any) -> Any:
        return RAISE if error.key == f.cache_key(2) else CALL

    f = colour.many(policy=Policy(miss=action))(source)
    with pytest.raises(Miss):
        colour.run(f([1, 2, 3]))
    assert source.asked == [[1, 3]]
    assert colour.run(f([1, 3])) == {1: "v1", 3: "v3"}
    assert source.asked == [[1, 3]]


def test_exceptions_may_be_exchanged(colour: Any, source: Any, backend: Any) -> None:
    """`raise_as` works as for single calls."""
    f = colour.many(backend=backend, policy=Policy(failed=raise_as(LookupError), timeout=30))(
        source
    )
    with backend.fail("read"), pytest.raises(LookupError) as caught:
        colour.run(f([1]))
    assert isinstance(caught.value.__cause__, OperationFailed)


def test_stale_answers_while_the_store_is_away(colour: Any, source: Any, backend: Any) -> None:
    """`failed=STALE` serves what was last seen of each id, and loads the others."""
    f = colour.many(backend=backend, policy=Policy(failed=STALE, timeout=30))(source)
    colour.run(f([1, 2]))
    with backend.fail():
        assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}
    assert source.asked == [[1, 2], [3]]


def test_a_fallback_takes_over_and_is_left_again(colour: Any, source: Any, backend: Any) -> None:
    """While the store fails, the fallback keeps what is loaded; afterwards it is emptied."""
    spare = Memory()
    policy = Policy(failed=fallback(spare), breaker=None, timeout=30)
    f = colour.many(backend=backend, policy=policy)(source)
    with backend.fail():
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
        assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}
    assert source.asked == [[1, 2], [3]]
    source.prefix = "w"
    assert colour.run(f([1, 2])) == {1: "w1", 2: "w2"}
    assert spare.currsize == 0


@pytest.mark.parametrize("action", [SKIP, RAISE])
def test_full_is_decided_by_the_policy(colour: Any, source: Any, action: Any) -> None:
    """Without room, `SKIP` answers without storing, and `RAISE` raises with the value."""
    f = colour.many(maxsize=2, eviction="none", policy=Policy(full=action))(source)
    colour.run(f([1, 2]))
    if action is SKIP:
        assert colour.run(f([1, 3])) == {1: "v1", 3: "v3"}
    else:
        with pytest.raises(Full) as caught:
            colour.run(f([1, 3]))
        assert caught.value.value == "v3"
    assert f.cache_info().currsize == 2


def test_a_policy_that_raises_is_survived(colour: Any, source: Any, backend: Any) -> None:
    """A callable action that fails counts as a failure, and the default action is taken."""

    def action(error: Any) -> Any:
        raise RuntimeError("no decision")

    f = colour.many(backend=backend, policy=Policy(failed=action, timeout=30))(source)
    with backend.fail():
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert f.cache_info().failures >= 2
