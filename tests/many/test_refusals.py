"""What cannot be a function of many ids is refused when it is decorated."""

import functools
from typing import Any

import pytest

from memo import cached


@pytest.mark.parametrize("thing", [5, None.__class__, "text", {}, property(len)], ids=repr)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    """Classes, properties, stores and plain values are no functions of many ids."""
    with pytest.raises(TypeError, match="function"):
        cached.many(thing)
    with pytest.raises(TypeError, match="function"):
        cached.many()(thing)


def _nothing() -> Any:
    return {}


async def _coroutine() -> Any:
    return {}


@pytest.mark.parametrize(
    "function",
    [_nothing, lambda *, ids: ids, lambda **ids: ids, _coroutine],
    ids=["nothing", "keyword only", "keywords", "coroutine"],
)
def test_a_function_that_takes_no_ids_is_refused(function: Any) -> None:
    """The ids come first and by position: a function that cannot take them is told so."""
    with pytest.raises(TypeError, match=r"cached.many: .*ids"):
        cached.many(function)


def test_generator_functions_are_refused() -> None:
    """An iterator is no mapping, and can be used up only once."""

    def generator(ids: Any) -> Any:
        yield ids

    async def asynchronous(ids: Any) -> Any:
        yield ids

    for function in (generator, asynchronous, functools.partial(generator)):
        with pytest.raises(TypeError, match="generator"):
            cached.many(function)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"ttl": -1}, "ttl"),
        ({"maxsize": "many"}, "maxsize"),
        ({"backend": 5}, "backend"),
        ({"policy": "strict"}, "policy"),
        ({"copy": 5}, "copy"),
        ({"eviction": "best"}, "eviction"),
        ({"stale_while_revalidate": 5}, "stale_while_revalidate"),
        ({"key": 5}, "key"),
        ({"ignore": 5}, "ignore"),
        ({"name": 5}, "name"),
        ({"serializer": "xml"}, "serializer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_are_checked_where_they_are_written(options: Any, word: str) -> None:
    """An option that cannot be is an error at decoration, which names it."""
    with pytest.raises((TypeError, ValueError), match=word):
        cached.many(**options)


@pytest.mark.parametrize("option", ["nonsense", "soft_timeout", "hard_timeout", "typed"])
def test_options_that_mean_nothing_here_are_unknown(option: str) -> None:
    """An option that would not be obeyed is not accepted.

    `typed` is one: 1 and 1.0 are one key of the mapping that the function returns.
    """
    with pytest.raises(TypeError, match=option):
        cached.many(**{option: True})


def test_ignore_names_parameters_of_the_function() -> None:
    """A name that is no parameter is refused, as `cached` refuses it."""
    with pytest.raises(ValueError, match="connection"):
        cached.many(ignore="connection")(lambda ids: {})


def test_the_ids_cannot_be_ignored() -> None:
    """Without them all ids would be one."""
    with pytest.raises(ValueError, match="ids"):
        cached.many(ignore="ids")(lambda ids, lang: {})
    cached.many(ignore=["lang"])(lambda ids, lang: {})


def test_an_async_backend_cannot_serve_a_blocking_function() -> None:
    """The colours must fit, and that is found out at decoration."""

    class Backend:
        async def read(self, key: Any) -> Any: ...
        async def write(self, key: Any, entry: Any) -> Any: ...
        async def delete(self, key: Any) -> Any: ...
        async def clear(self) -> Any: ...

    with pytest.raises(TypeError, match="async backend"):
        cached.many(backend=Backend())(lambda ids: {})
