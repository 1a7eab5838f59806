"""Policies: what may be written in which field, and what comes out."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import timedelta

import pytest

from memo import CALL, EVICT, RAISE, SKIP, STALE, Breaker, Policy, fallback, raise_as
from memo.errors import CacheError, Expired, Full, Miss, OperationFailed
from memo.policy import OPERATIONS, Action, Fallback, RaiseAs

ALLOWED = {
    "miss": {CALL, RAISE},
    "expired": {CALL, STALE, RAISE},
    "full": {EVICT, SKIP, RAISE},
    "failed": {CALL, STALE, RAISE},
}
ERRORS = {
    "miss": Miss("k"),
    "expired": Expired("k"),
    "full": Full("k"),
    "failed": OperationFailed("down", operation="read"),
}
#: Things that are no action anywhere.
NONSENSE = [None, "call", 3, ValueError, ValueError(), [CALL], object()]


class Ours(Exception):
    """An exception of the program's."""


def never(error):
    """A callable, which pickles by its name."""
    return RAISE


@pytest.mark.parametrize("field", ALLOWED)
@pytest.mark.parametrize("action", Action)
def test_each_field_takes_its_actions_and_no_others(field, action):
    """An action is accepted and comes out, or one error names field, value and what is allowed."""
    if action in ALLOWED[field]:
        assert Policy(**{field: action}).action(ERRORS[field]) is action
        return
    with pytest.raises(ValueError, match=rf"Policy\({field}={action.name}\): allowed are") as wrong:
        Policy(**{field: action})
    for allowed in ALLOWED[field]:
        assert allowed.name in str(wrong.value)


@pytest.mark.parametrize("field", ALLOWED)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_no_field_takes_nonsense(field, nonsense):
    """What is no action is refused when the policy is built."""
    with pytest.raises(ValueError, match=rf"Policy\({field}=.*allowed are"):
        Policy(**{field: nonsense})


def test_an_exception_class_written_as_an_action_is_told_about_raise_as():
    """The likeliest mistake has a hint of its own."""
    with pytest.raises(ValueError, match=r"write raise_as\(ValueError\)"):
        Policy(miss=ValueError)


@pytest.mark.parametrize("field", ALLOWED)
def test_each_field_takes_raise_as_and_callables(field):
    """Both come out as the action: `raise_as` itself, of a callable what it returned."""
    chosen = raise_as(Ours)
    error = ERRORS[field]
    assert Policy(**{field: chosen}).action(error) is chosen
    asked = []

    def decide(given):
        asked.append(given)
        return chosen

    assert Policy(**{field: decide}).action(error) is chosen
    assert asked == [error]
    for action in ALLOWED[field]:
        assert Policy(**{field: lambda error, action=action: action}).action(error) is action


@pytest.mark.parametrize("field", ALLOWED)
def test_a_callable_must_answer_with_an_action_of_its_field(field):
    """Another's action, nonsense or one more callable is a `ValueError` of `action`."""
    for wrong in (set(Action) - ALLOWED[field]) | {"call", None, never}:
        with pytest.raises(ValueError, match="allowed are"):
            Policy(**{field: lambda error, wrong=wrong: wrong}).action(ERRORS[field])


def test_only_failed_takes_a_fallback():
    """`fallback(backend)` anywhere else is an error."""
    chosen = fallback(object())
    assert Policy(failed=chosen).action(ERRORS["failed"]) is chosen
    assert Policy(failed=lambda error: chosen).action(ERRORS["failed"]) is chosen
    assert Policy(failed={"read": chosen}).action(ERRORS["failed"]) is chosen
    for field in ("miss", "expired", "full"):
        with pytest.raises(ValueError, match=f"{field}=fallback"):
            Policy(**{field: chosen})
        with pytest.raises(ValueError, match="allowed are"):
            Policy(**{field: lambda error: chosen}).action(ERRORS[field])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_failed_takes_a_mapping_by_operation(operation):
    """An operation in the mapping has its action, all others `CALL`."""
    for choice in (STALE, RAISE, raise_as(Ours), fallback(object())):
        policy = Policy(failed={operation: choice})
        for other in (*OPERATIONS, None, "unheard of"):
            error = OperationFailed("down", operation=other)
            assert policy.action(error) is (choice if other == operation else CALL)


def test_a_mapping_may_hold_callables():
    """Which are asked about the errors of their operation only."""
    policy = Policy(failed={"write": never, "read": lambda error: STALE})
    assert policy.action(OperationFailed("down", operation="write")) is RAISE
    assert policy.action(OperationFailed("down", operation="read")) is STALE
    assert policy.action(OperationFailed("down", operation="clear")) is CALL


@pytest.mark.parametrize("name", ["reed", "load", "", None, 3])
def test_a_mapping_names_operations_only(name):
    """An unknown operation is an error that lists those there are."""
    with pytest.raises(ValueError, match="is no operation; allowed are key, read, write"):
        Policy(failed={name: CALL})


@pytest.mark.parametrize("wrong", [EVICT, SKIP, *NONSENSE, {"read": CALL}], ids=repr)
def test_a_mapping_holds_actions_for_failed_only(wrong):
    """The error names the operation."""
    with pytest.raises(ValueError, match=r"failed\['read'\]=.*allowed are"):
        Policy(failed={"read": wrong})


@pytest.mark.parametrize("field", ["miss", "expired", "full"])
def test_no_other_field_takes_a_mapping(field):
    """By operation is for `failed` alone."""
    with pytest.raises(ValueError, match=f"{field}="):
        Policy(**{field: {"read": CALL}})


def test_the_mapping_is_the_policys_own():
    """Later changes of the mapping that was handed in change nothing; nor can it be changed."""
    given = {"read": RAISE}
    policy = Policy(failed=given)
    given["write"] = RAISE
    assert policy == Policy(failed={"read": RAISE})
    with pytest.raises(TypeError):
        policy.failed["write"] = RAISE


def test_on_error_takes_a_callable():
    """Or None."""
    assert Policy(on_error=print).on_error is print
    with pytest.raises(TypeError, match="on_error=3"):
        Policy(on_error=3)


def test_the_named_policies():
    """`absorb`, `strict` and `cache_only` are what the docs say, and can be changed in place."""
    assert Policy() == Policy.absorb()
    assert Policy() == Policy(miss=CALL, expired=CALL, full=EVICT, failed=CALL, on_error=None)
    assert Policy.strict() == Policy(full=RAISE, failed=RAISE)
    assert Policy.cache_only() == Policy(miss=RAISE, expired=RAISE)
    assert Policy.strict(full=SKIP) == Policy(full=SKIP, failed=RAISE)
    assert Policy.absorb(expired=STALE) == Policy(expired=STALE)
    assert Policy.cache_only(miss=CALL) == Policy(expired=RAISE)
    with pytest.raises(TypeError):
        Policy.strict(nonsense=1)


def test_options_are_keyword_only_and_frozen():
    """A policy cannot be built by position, nor changed."""
    with pytest.raises(TypeError):
        Policy(RAISE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy().miss = RAISE


def test_policies_compare_and_hash_by_what_they_say():
    """Equal policies are one key in a dict, also with a mapping."""
    other = object()
    alike = [
        (Policy(miss=RAISE), Policy(miss=RAISE)),
        (Policy(failed={"read": RAISE}), Policy(failed={"read": RAISE})),
        (Policy(miss=raise_as(Ours)), Policy(miss=raise_as(Ours))),
        (Policy(full=never), Policy(full=never)),
    ]
    for one, same in alike:
        assert one == same
        assert hash(one) == hash(same)
        assert one != Policy()
    assert Policy(failed={"read": RAISE}) != Policy(failed={"write": RAISE})
    chosen = fallback(other)
    assert Policy(failed=chosen) == Policy(failed=chosen)
    assert len({Policy(), Policy(), Policy.strict()}) == 2


def test_policies_print_as_they_are_written():
    """Every field, with actions by their name."""
    text = repr(Policy(expired=STALE, failed={"read": RAISE}))
    assert text.startswith("Policy(miss=CALL, expired=STALE, full=EVICT, failed=")
    assert "'read': RAISE" in text
    assert "timeout" not in text, "what is as by default is left out, but for the actions"
    text = repr(Policy(timeout="100ms", retry=2, breaker=None, max_loads_while_open=3))
    assert text.endswith("timeout=0.1, retry=2, breaker=None, max_loads_while_open=3)")
    assert "breaker=Breaker(failures=3)" in repr(Policy(breaker=Breaker(failures=3)))
    assert repr([CALL, RAISE, STALE, EVICT, SKIP]) == "[CALL, RAISE, STALE, EVICT, SKIP]"


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy.strict(),
        Policy(failed={"read": RAISE, "write": STALE}),
        Policy(miss=raise_as(KeyError), expired=STALE, on_error=print),
        Policy(full=never),
        Policy(timeout=None, retry=3, breaker=None),
        Policy(timeout=1, breaker=Breaker(failures=3, rate=0.5), max_loads_while_open=8),
    ],
    ids=repr,
)
def test_policies_pickle_and_copy(policy):
    """What comes back is equal; actions are the same objects."""
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(policy, protocol)) == policy
    assert copy.copy(policy) == policy
    assert copy.deepcopy(policy) == policy
    assert dataclasses.replace(policy, miss=RAISE).miss is RAISE
    for action in Action:
        assert pickle.loads(pickle.dumps(action)) is action
        assert copy.deepcopy(action) is action


def test_what_a_backend_may_cost_by_default():
    """A quarter of a second for each call, no retry, and a breaker."""
    for policy in (Policy(), Policy.absorb(), Policy.strict(), Policy.cache_only()):
        assert (policy.timeout, policy.retry, policy.breaker) == (0.25, 0, Breaker())
        assert policy.max_loads_while_open is None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(1, 1.0), (0.1, 0.1), ("100ms", 0.1), (timedelta(seconds=2), 2.0), (None, None)],
)
def test_a_timeout_is_a_duration(given, seconds):
    """In seconds from then on; None and infinity are no bound."""
    assert Policy(timeout=given).timeout == seconds
    assert Policy(timeout=float("inf")).timeout is None
    assert Policy(timeout=given) == Policy(timeout=seconds)
    assert hash(Policy(timeout=given)) == hash(Policy(timeout=seconds))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"timeout": 0}, ValueError, r"Policy.timeout=0: .*\(None for no bound\)"),
        ({"timeout": -1}, ValueError, "Policy.timeout=-1: must not be negative"),
        ({"timeout": "soon"}, ValueError, "Policy.timeout='soon': takes seconds"),
        ({"timeout": True}, TypeError, "Policy.timeout=True: takes seconds"),
        ({"retry": -1}, ValueError, r"Policy\(retry=-1\): takes a whole number of at least 0"),
        ({"retry": 1.5}, TypeError, r"Policy\(retry=1.5\): takes a whole number of at least 0"),
        ({"retry": True}, TypeError, r"Policy\(retry=True\)"),
        ({"retry": None}, TypeError, r"Policy\(retry=None\)"),
        ({"breaker": 5}, TypeError, r"Policy\(breaker=5\): takes a memo.Breaker, or None"),
        ({"breaker": Breaker}, TypeError, "takes a memo.Breaker, or None"),
        ({"max_loads_while_open": 0}, ValueError, "of at least 1, or None"),
        ({"max_loads_while_open": "3"}, TypeError, "of at least 1, or None"),
    ],
)
def test_what_a_backend_may_cost_is_checked_where_it_is_written(wrong, error, text):
    """One error that names the field, the value and what is allowed."""
    with pytest.raises(error, match=text):
        Policy(**wrong)


def test_raise_as_makes_an_exception_with_the_error_as_its_cause():
    """`raise_as(E)` is `E(str(error)) from error`."""
    error = Miss("k")
    made = raise_as(Ours).made_from(error)
    assert type(made) is Ours
    assert made.args == (str(error),)
    assert made.__cause__ is error
    assert raise_as(KeyboardInterrupt) == RaiseAs(KeyboardInterrupt)


@pytest.mark.parametrize("wrong", [Ours(), int, "ValueError", None, 3])
def test_raise_as_takes_an_exception_class(wrong):
    """Anything else is a `TypeError` when it is written."""
    with pytest.raises(TypeError, match="raise_as: takes an exception class"):
        raise_as(wrong)


def test_fallback_takes_a_backend():
    """None is none; two fallbacks on one backend are two."""
    with pytest.raises(TypeError, match="fallback: takes a backend"):
        fallback(None)
    assert isinstance(fallback(object()), Fallback)


def test_default_actions_absorb():
    """What holds when a callable fails is the default policy's action."""
    for field, error in ERRORS.items():
        assert Policy.strict().default_action(error) is getattr(Policy(), field)


def test_subclasses_of_the_errors_are_asked_about_as_what_they_are():
    """A subclass of `OperationFailed` is a failure."""

    class Torn(OperationFailed):
        pass

    assert Policy(failed=RAISE).action(Torn("down", operation="read")) is RAISE
    assert issubclass(Torn, CacheError)


def test_whether_a_policy_may_serve_stale():
    """Known from what is written; of a callable it must be assumed."""
    assert not Policy().may_serve_stale("failed")
    assert not Policy(failed={"read": RAISE}).may_serve_stale("failed")
    assert not Policy(failed=raise_as(Ours)).may_serve_stale("failed")
    assert Policy(failed=STALE).may_serve_stale("failed")
    assert Policy(failed={"read": STALE}).may_serve_stale("failed")
    assert Policy(failed=never).may_serve_stale("failed")
    assert Policy(expired=STALE).may_serve_stale("expired")
    assert not Policy(expired=RAISE).may_serve_stale("expired")
