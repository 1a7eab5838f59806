"""Values on a store of bytes: a hit is what the miss was; how they are encoded can be chosen."""

import asyncio
import dataclasses
import json
import pickle
from typing import Any, NamedTuple, TypedDict

import pytest
from shared.kept import AsyncKept, Kept

import memo
from memo import OperationFailed, Policy, cached
from memo.serializers import Codec

SECRET = "sixteen bytes at least"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured from outside."""
    monkeypatch.delenv("MEMO_SECRET", raising=False)


@dataclasses.dataclass
class Article:
    number: int
    tags: set[str]


class Pair(NamedTuple):
    left: int
    right: str


class Price(TypedDict):
    amount: float
    currency: str


def article(number: int) -> Article:
    """An article."""
    return Article(number, {"a", "b"})


def pair(number: int) -> Pair:
    """A pair."""
    return Pair(number, "r")


def price(number: int) -> Price:
    """A price."""
    return {"amount": float(number), "currency": "EUR"}


def articles(number: int) -> list[Article]:
    """Several articles."""
    return [article(number)]


def maybe(number: int) -> Article | None:
    """An article, or none."""
    return None if number else article(number)


@pytest.mark.parametrize("function", [article, pair, price, articles, maybe])
def test_values_are_those_of_the_annotation(function: Any) -> None:
    """A hit is equal to the miss, and of the same types inside."""
    store = Kept()
    f = cached(backend=store)(function)
    first, again = f(1), f(1)
    assert first == again
    assert type(first) is type(again)
    if isinstance(first, list):
        assert type(again[0]) is Article
    assert again is not first or first is None
    assert f.cache_info()[:2] == (1, 1)
    assert len(store.held) == 1


@cached(backend=AsyncKept())
async def async_article(number: int) -> Article:
    """An article, later."""
    return article(number)


@cached.many(backend=Kept())
def many_articles(ids: list[int]) -> dict[int, Article]:
    """Articles by their numbers."""
    return {one: article(one) for one in ids}


def test_coroutine_functions_and_many_ids_have_annotations_too() -> None:
    """What is awaited, and what a mapping is annotated with, are the types of the values."""

    async def main() -> None:
        assert await async_article(1) == await async_article(1) == article(1)
        assert async_article.cache_info()[:2] == (1, 1)

    asyncio.run(main())
    assert many_articles([1, 2]) == {1: article(1), 2: article(2)}
    again = many_articles([2, 1])
    assert again == {2: article(2), 1: article(1)}
    assert type(again[1]) is Article
    assert many_articles.cache_info()[:2] == (2, 2)
    assert many_articles.cache_info().failures == 0


class _Opaque:
    """Something no codec knows."""


def _opaque() -> Any:
    return _Opaque()


@pytest.mark.parametrize("made", [_opaque, lambda: article(1)], ids=["opaque", "unannotated"])
def test_what_cannot_be_given_back_is_not_stored(made: Any) -> None:
    """Each caller gets the function's own value; the failure is counted."""
    store = Kept()
    f = cached(backend=store, name="opaque")(made)
    assert type(f()) is type(f()) is type(made())
    info = f.cache_info()
    assert (info.hits, info.misses) == (0, 2)
    assert info.failures >= 2
    assert store.held == {}
    strict = cached(backend=store, name="strict", policy=Policy.strict(timeout=30))(made)
    with pytest.raises(OperationFailed) as caught:
        strict()
    assert caught.value.codec
    assert type(caught.value.value) is type(made())


def test_an_unencodable_value_of_one_id_costs_that_id_alone() -> None:
    """The others of the batch are stored."""
    store = Kept()
    f = cached.many(backend=store, name="mixed")(
        lambda ids: {one: _Opaque() if one == 2 else one for one in ids}
    )
    first = f([1, 2, 3])
    assert (first[1], first[3]) == (1, 3)
    assert f.lookup(1).status == f.lookup(3).status == "fresh"
    assert f.lookup(2).status == "miss"


def test_a_caller_may_change_what_it_gets() -> None:
    """Each hit is decoded anew: nobody shares it."""
    f = cached(backend=Kept(), name="list")(lambda: [1])
    f().append(2)
    f().append(3)
    assert f() == [1]


@pytest.mark.parametrize("serializer", ["msgpack", "json", Codec("json"), Codec(secrets=SECRET)])
def test_serializers_can_be_chosen(serializer: Any) -> None:
    """By name, or as a codec with settings of its own; the annotation counts for each."""
    store = Kept()
    f = cached(backend=store, serializer=serializer)(article)
    assert f(1) == f(1) == article(1)
    assert f.cache_info()[:2] == (1, 1)
    assert type(f(1)) is Article


def test_json_can_be_read_by_people() -> None:
    """What is stored is text with the value in it."""
    store = Kept()
    cached(backend=store, serializer="json")(price)(3)
    (data,) = store.held.values()
    assert "EUR" in data.decode()


def test_pickle_must_be_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret it is refused where it is written; with one, strangers are not unpickled."""
    with pytest.raises(ValueError, match="MEMO_SECRET"):
        cached(backend=Kept(), serializer="pickle")(article)
    monkeypatch.setenv("MEMO_SECRET", SECRET)
    store = Kept()
    f = cached(backend=store, serializer="pickle", name="pickled")(_opaque)
    assert type(f()) is type(f()) is _Opaque
    assert f.cache_info()[:2] == (1, 1)
    (name,) = store.held
    store.held[name] = pickle.dumps(_Opaque())
    assert type(f()) is _Opaque
    assert f.cache_info().failures == 1


class Upper:
    """A serializer of one's own."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).upper().encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def test_a_serializer_of_one_s_own() -> None:
    """Any object with `dumps` and `loads`; what it does not give back equal is not stored."""
    store = Kept()
    f = cached(backend=store, serializer=Upper(), name="upper")(lambda text: text)
    assert f("ABC") == f("ABC") == "ABC"
    assert f.cache_info()[:2] == (1, 1)
    assert f("abc") == f("abc") == "abc"
    assert f.cache_info()[:2] == (1, 3)


@pytest.mark.parametrize("serializer", ["xml", 5, object(), Upper, ""], ids=repr)
def test_a_serializer_that_cannot_be_is_refused(serializer: Any) -> None:
    """At decoration, with what is allowed."""
    for decorate in (cached, cached.many, memo.Cache):
        with pytest.raises((TypeError, ValueError), match="serializer=") as caught:
            decorate(backend=Kept(), serializer=serializer)
        assert "msgpack" in str(caught.value)


@pytest.mark.parametrize("backend", [{}, "memory://", "null://"], ids=repr)
def test_a_serializer_beside_a_store_of_values_is_refused(backend: Any) -> None:
    """Where nothing is serialized the option would mean nothing."""
    with pytest.raises(ValueError, match="serializer='json' beside backend="):
        cached(backend=backend, serializer="json")


def test_a_serializer_waits_for_a_store_that_needs_it() -> None:
    """Written without a backend it is for whatever is configured, and means nothing in memory."""
    f = cached(serializer="json")(price)
    assert f(1) == f(1)
    assert f.cache_info()[:2] == (1, 1)
    store = Kept()
    memo.configure(backend=store)
    g = cached(serializer="json")(price)
    g(2)
    assert "EUR" in next(iter(store.held.values())).decode()


def test_the_codec_of_a_store_is_used_where_a_cache_does_not_say() -> None:
    """A backend made with `codec=` keeps its settings, secrets included, with the annotation."""
    store = Kept(codec=Codec("json", secrets=SECRET))
    f = cached(backend=store)(price)
    f(3)
    assert f(3) == price(3)
    (data,) = store.held.values()
    assert "EUR" in data.decode()
    stranger = cached(backend=Kept(store.held, codec=Codec("json")))(price)
    assert stranger(3) == price(3)
    assert stranger.cache_info().hits == 0


def test_a_changed_type_is_loaded_anew() -> None:
    """An entry of a version of the program with another annotation is a counted failure."""
    store = Kept()
    cached(backend=store, name="changing")(article)(1)
    f = cached(backend=store, name="changing")(pair)
    assert f(1) == f(1) == Pair(1, "r")
    info = f.cache_info()
    assert (info.hits, info.misses, info.failures) == (1, 1, 1)


def test_damaged_bytes_are_loaded_anew() -> None:
    """Cut, flipped or foreign bytes are failures, and never values."""
    store = Kept()
    f = cached(backend=store)(article)
    f(1)
    (name,) = store.held
    whole = store.held[name]
    for damaged in (b"", whole[:-1], whole[:20], b"x" * 100, whole[::-1], whole + b"x"):
        store.held[name] = damaged
        assert f(1) == article(1)
        assert store.held[name] == whole or f.get(1) == article(1)
    assert f.cache_info().failures == 6


def test_an_entry_under_another_key_is_not_taken() -> None:
    """Whoever moves entries about on the server changes no answer."""
    store = Kept()
    f = cached(backend=store)(article)
    f(1)
    f(2)
    one, two = store.held
    store.held[one], store.held[two] = store.held[two], store.held[one]
    assert (f(1), f(2)) == (article(1), article(2))
    assert f.cache_info().failures == 2
