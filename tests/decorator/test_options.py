"""Each option says what it takes, where it is written."""

import math
from datetime import timedelta

import pytest

import memo
from memo import Cache, Policy, cached
from memo.backends.memory import EVICTIONS


class Blocking:
    """The least that is a backend."""

    def read(self, key):
        return None

    def write(self, key, entry):
        return None

    def delete(self, key):
        return False

    def clear(self):
        return None


class Async:
    """The least that is an async backend."""

    async def read(self, key):
        return None

    async def write(self, key, entry):
        return None

    async def delete(self, key):
        return False

    async def clear(self):
        return None


def f(a, b=1, **others):
    """Give back all that it got."""
    return a, b, others


WRONG = [
    ("ttl", 0, ValueError, "greater than 0"),
    ("ttl", -1, ValueError, "negative"),
    ("ttl", math.nan, ValueError, "negative|number"),
    ("ttl", True, TypeError, "seconds"),
    ("ttl", b"5m", TypeError, "seconds"),
    ("ttl", "five minutes", ValueError, '"5m"'),
    ("ttl", "", ValueError, '"5m"'),
    ("ttl", "5", ValueError, '"5m"'),
    ("ttl", timedelta(seconds=-1), ValueError, "negative"),
    ("ttl", [5], TypeError, "timedelta"),
    ("maxsize", -1, ValueError, "at least 0"),
    ("maxsize", math.nan, ValueError, "at least 0"),
    ("maxsize", "big", TypeError, "number"),
    ("maxsize", True, TypeError, "number"),
    ("backend", object(), TypeError, "read, write, delete"),
    ("backend", Blocking, TypeError, "not its class"),
    ("backend", "nowhere://", ValueError, "memory://"),
    ("policy", "strict", TypeError, "Policy"),
    ("policy", Policy, TypeError, "Policy"),
    ("key", "a", TypeError, "callable"),
    ("ignore", 5, TypeError, "names of parameters"),
    ("ignore", [5], TypeError, "names of parameters"),
    ("typed", "yes", TypeError, "True or False"),
    ("eviction", "mru", ValueError, "'lru'"),
    ("eviction", None, ValueError, "'lru'"),
    ("eviction", ["lru"], ValueError, "'lru'"),
    ("getsizeof", 5, TypeError, "callable"),
    ("should_cache", True, TypeError, "callable"),
    ("copy", True, TypeError, "callable"),
    ("timer", 5.0, TypeError, "callable"),
    ("single_flight", 1, TypeError, "True or False"),
    ("name", 5, TypeError, "str"),
    ("cache_exceptions", [KeyError], TypeError, "mapping"),
]

WRONG_WITH_TTL = [
    ("stale_while_revalidate", -1, ValueError, "negative"),
    ("stale_while_revalidate", "soon", ValueError, '"5m"'),
    ("stale_while_revalidate", None, TypeError, "seconds"),
    ("stale_if_error", -1, ValueError, "negative"),
    ("stale_if_error", True, TypeError, "seconds"),
    ("refresh_after", 0, ValueError, "between 0 and 1"),
    ("refresh_after", 1, ValueError, "between 0 and 1"),
    ("refresh_after", "half", TypeError, "fraction"),
    ("refresh_after", True, TypeError, "fraction"),
    ("jitter", 1.5, ValueError, "between 0 and 1"),
    ("jitter", -0.1, ValueError, "between 0 and 1"),
    ("jitter", math.nan, ValueError, "between 0 and 1"),
    ("jitter", "some", TypeError, "fraction"),
]


def shown_in(value: object, message: str) -> bool:
    """Whether a message shows the value, if perhaps shortened."""
    return repr(value)[:10] in message or getattr(value, "__name__", "\0") in message


@pytest.mark.parametrize(
    ("option", "value", "kind", "allowed"),
    WRONG,
    ids=lambda x: x.__name__ if isinstance(x, type) else repr(x)[:30],
)
def test_a_wrong_value_is_refused_in_one_sentence(option, value, kind, allowed) -> None:
    """A wrong value is an error that names the option, the value and what is allowed."""
    with pytest.raises(kind, match=allowed) as caught:
        cached(**{option: value})(f)
    assert option in str(caught.value)
    assert shown_in(value, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("option", "value", "kind", "allowed"), WRONG_WITH_TTL)
def test_a_wrong_value_beside_a_ttl_is_refused(option, value, kind, allowed) -> None:
    """The same holds for options that only make sense beside a ttl."""
    with pytest.raises(kind, match=allowed) as caught:
        cached(ttl=60, **{option: value})(f)
    assert option in str(caught.value)
    assert shown_in(value, str(caught.value))


def test_options_are_checked_where_they_are_written() -> None:
    """`cached(maxsize=-1)` fails by itself, before there is a function."""
    with pytest.raises(ValueError, match="maxsize=-1"):
        cached(maxsize=-1)


@pytest.mark.parametrize("option", ["typed", "key", "ignore"])
def test_options_about_arguments_are_checked_where_they_are_written(option) -> None:
    """What needs no function to be known wrong fails without one."""
    with pytest.raises(TypeError, match=option):
        cached(**{option: 5})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stale_while_revalidate": 5}, "stale_while_revalidate"),
        ({"stale_if_error": 5}, "stale_if_error"),
        ({"refresh_after": 0.5}, "refresh_after"),
        ({"jitter": 0.5}, "jitter"),
    ],
)
def test_what_needs_a_ttl_says_so(options, named) -> None:
    """Options about the lifetime are errors without one, not silently without effect."""
    with pytest.raises(ValueError, match=named) as caught:
        cached(**options)
    assert "ttl" in str(caught.value)


@pytest.mark.parametrize(
    ("exceptions", "kind", "said"),
    [
        ({"KeyError": 5}, TypeError, "'KeyError'"),
        ({int: 5}, TypeError, "int"),
        ({KeyboardInterrupt: 5}, TypeError, "KeyboardInterrupt"),
        ({BaseException: 5}, TypeError, "BaseException"),
        ({KeyError: 0}, ValueError, "KeyError"),
        ({KeyError: -1}, ValueError, "KeyError"),
        ({KeyError: None}, TypeError, "KeyError"),
        ({KeyError: "long"}, ValueError, "KeyError"),
    ],
)
def test_cache_exceptions_takes_types_and_lifetimes(exceptions, kind, said) -> None:
    """`cache_exceptions` refuses what is no exception type, and lifetimes that are none."""
    with pytest.raises(kind, match="cache_exceptions") as caught:
        cached(cache_exceptions=exceptions)
    assert said in str(caught.value)


@pytest.mark.parametrize("option", ["tll", "tags", "max_size", "func"])
def test_an_option_that_is_not_there_is_a_type_error(option) -> None:
    """Nothing is accepted and ignored."""
    with pytest.raises(TypeError, match=option):
        cached(**{option: None})
    with pytest.raises(TypeError, match=option):
        Cache(**{option: None})


@pytest.mark.parametrize("value", [60, "5m", {"ttl": 5}])
def test_options_are_keyword_only(value) -> None:
    """A positional argument is the function, and what is none is refused with advice."""
    with pytest.raises(TypeError, match=r"keyword-only|cached\(ttl=60\)") as caught:
        cached(value)
    assert repr(value) in str(caught.value)


def test_more_than_one_positional_argument_is_refused() -> None:
    """`cached(f, 60)` is a TypeError."""
    with pytest.raises(TypeError):
        cached(f, 60)


@pytest.mark.parametrize(
    "options", [{"maxsize": 10}, {"eviction": "lru"}, {"getsizeof": len}, {"maxsize": None}]
)
def test_a_bound_beside_a_backend_is_refused(options) -> None:
    """A backend that was handed in bounds itself, and what would be ignored is an error."""
    (option,) = options
    with pytest.raises(ValueError, match=option) as caught:
        cached(backend={}, **options)
    assert "backend" in str(caught.value)


def test_maxsize_0_beside_a_backend_means_never_store() -> None:
    """`maxsize=0` is no bound but a switch, and allowed beside a backend."""
    store = {}
    g = cached(backend=store, maxsize=0)(f)
    assert g(1) == (1, 1, {})
    assert store == {}


def test_an_async_backend_cannot_serve_a_plain_function() -> None:
    """A sync function over an async-only backend is a TypeError when it is decorated."""
    with pytest.raises(TypeError, match="async"):
        cached(backend=Async())(f)
    with pytest.raises(TypeError, match="async"):
        Cache(backend=Async())


def test_a_parameter_to_ignore_must_exist() -> None:
    """A misspelled name in `ignore` is an error that lists the names there are."""

    def g(session, user): ...

    with pytest.raises(ValueError, match="'sesion'") as caught:
        cached(ignore=("sesion",))(g)
    assert "session, user" in str(caught.value)


@pytest.mark.parametrize("option", [{"ignore": "a"}, {"typed": True}])
def test_key_says_all_there_is_to_say(option) -> None:
    """`ignore` and `typed` beside `key` would have no effect, and are refused."""
    (name,) = option
    with pytest.raises(ValueError, match=name):
        cached(key=lambda a: a, **option)(f)


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_every_eviction_that_is_offered_is_taken(eviction) -> None:
    """Each name in `EVICTIONS` makes a cache that keeps to its bound and gives right answers."""
    g = cached(maxsize=3, eviction=eviction)(f)
    for a in [*range(10), *range(10)]:
        assert g(a) == (a, 1, {})
    assert g.cache_info().currsize <= 3


def test_the_defaults_are_as_promised() -> None:
    """Without options: no ttl, 1,024 entries, not typed, single flight, nothing raised."""
    g = cached(f)
    assert g.cache_parameters() == {"maxsize": 1024, "typed": False}
    assert g.cache_info() == (0, 0, 1024, 0)


def test_calling_with_no_arguments_is_the_same_as_bare() -> None:
    """`@cached`, `@cached()` and `cached(f)` decorate alike, and options may stand beside f."""
    for g in (cached(f), cached()(f), cached(f, ttl=5, maxsize=7)):
        assert g(1) == g(1) == (1, 1, {})
        assert g.cache_info()[:2] == (1, 1)
    assert g.cache_info().maxsize == 7


def test_a_decorator_can_be_used_again() -> None:
    """`cached(...)` without a function can decorate many, each with a cache of its own."""
    decorate = cached(maxsize=5)

    def double(a):
        return 2 * a

    def triple(a):
        return 3 * a

    double, triple = decorate(double), decorate(triple)
    assert (double(1), triple(1), double(1)) == (2, 3, 2)
    assert double.cache_info() == (1, 1, 5, 1)
    assert triple.cache_info() == (0, 1, 5, 1)


def test_a_warning_or_error_of_an_option_has_no_context() -> None:
    """One error, and no other one on its back."""
    with pytest.raises(TypeError) as caught:
        cached(ignore=5)(f)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"enabled": 1}, TypeError),
        ({"policy": "strict"}, TypeError),
        ({"backend": object()}, TypeError),
        ({"ttl": 5}, TypeError),
    ],
)
def test_configure_checks_what_it_is_given(options, kind) -> None:
    """`configure` refuses what cannot be, by name, and changes nothing then."""
    (option,) = options
    with pytest.raises(kind, match=option):
        memo.configure(**options)
    assert cached(f)(1) == (1, 1, {})
