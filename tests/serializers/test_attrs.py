"""Classes of attrs: held as dataclasses are."""

from __future__ import annotations

import attrs
import pytest
from serializers.samples import codecs, round_trip

from memo import OperationFailed
from memo.serializers.fingerprints import description


@attrs.define
class Stock:
    """A class with slots, as attrs makes them by default."""

    article: str
    count: int = 0
    places: tuple[str, ...] = ()


@attrs.frozen(slots=False)
class Loose:
    """One without slots."""

    count: int
    stock: Stock | None = None


def test_attrs_classes_come_back_as_they_were():
    """With slots and without, and within each other."""
    for annotation, value in [
        (Stock, Stock("tea", 2, ("a", "b"))),
        (Loose, Loose(1, Stock("tea"))),
        (list[Loose], [Loose(1)]),
        (Stock | Loose, Loose(2)),
    ]:
        for codec in codecs(annotation=annotation):
            again = round_trip(codec, value)
            assert again == value
            assert repr(again) == repr(value)


def test_what_an_attrs_class_would_lose_is_refused():
    """A list in the place of a tuple, a number in the place of text."""
    for value in (Stock("tea", places=["a"]), Stock("tea", "2"), Loose(1)):
        for codec in codecs(annotation=Stock):
            with pytest.raises(OperationFailed, match="cannot be stored"):
                round_trip(codec, value)


def test_the_fields_of_an_attrs_class_are_in_the_fingerprint():
    """By name and type."""
    words = description(Stock)
    assert "article: builtins.str" in words
    assert "count: builtins.int" in words
